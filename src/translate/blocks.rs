//! A config of directives and blocks as a tree, with the files that it includes.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::vec::IntoIter;

use super::finding::{Findings, Place};
use super::scan::{Dialect, Piece, Scanned, scan};
use super::source::{MAX_BYTES, MAX_FILES, Read, SourceError};

/// How deep blocks may be in each other, includes counted.
const MAX_DEPTH: usize = 32;

/// Files of distributions that say nothing to a proxy: types of files, `FastCGI`, ciphers.
const UNUSED_FILES: [&str; 7] = [
    "mime.types",
    "fastcgi.conf",
    "fastcgi_params",
    "fastcgi-php.conf",
    "uwsgi_params",
    "scgi_params",
    "options-ssl-nginx.conf",
];

/// A directive: its words, and what its block holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) place: Place,
    /// The first word.
    pub(super) name: String,
    pub(super) args: Vec<String>,
    /// What is between its braces, where it has them.
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// An argument, or the empty text.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    pub(super) fn children(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The directive as it stands there, without its block.
    pub(super) fn shown(&self) -> String {
        let mut text = self.name.clone();
        for arg in &self.args {
            text.push(' ');
            text.push_str(arg);
        }
        text
    }
}

/// The whole tree.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    pub(super) directives: Vec<Directive>,
}

impl Blocks {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// When a file can't be read or parsed, or there is too much.
    pub(super) fn read(
        path: &Path,
        reader: &dyn Read,
        dialect: Dialect,
        findings: &mut Findings,
    ) -> Result<Self, SourceError> {
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut loader = Loader { reader, dialect, findings, base, bytes: 0 };
        let directives = loader.files(path, 0)?;
        Ok(Self { directives })
    }
}

struct Loader<'r> {
    reader: &'r dyn Read,
    dialect: Dialect,
    findings: &'r mut Findings,
    /// What relative paths start at.
    base: PathBuf,
    bytes: usize,
}

impl Loader<'_> {
    fn files(&mut self, pattern: &Path, depth: usize) -> Result<Vec<Directive>, SourceError> {
        let unreadable = |error: std::io::Error| SourceError::Unreadable {
            file: pattern.to_owned(),
            message: error.to_string(),
        };
        let mut all = Vec::new();
        for (path, text) in self.reader.matching(pattern).map_err(unreadable)? {
            self.bytes = self.bytes.saturating_add(text.len());
            let file = self.findings.add_file(&path);
            if self.bytes > MAX_BYTES || self.findings.file_count() > MAX_FILES {
                return Err(SourceError::TooLarge);
            }
            let syntax =
                |(line, message)| SourceError::Syntax { file: path.clone(), line, message };
            let pieces = scan(&text, self.dialect).map_err(syntax)?;
            let mut tree =
                Tree { pieces: pieces.into_iter().peekable(), file, dialect: self.dialect };
            let directives = tree.directives(depth, false).map_err(syntax)?;
            all.extend(self.with_included(directives, depth)?);
        }
        Ok(all)
    }

    /// Puts what is included in the place of the directive that includes it.
    fn with_included(
        &mut self,
        directives: Vec<Directive>,
        depth: usize,
    ) -> Result<Vec<Directive>, SourceError> {
        let mut all = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if let Some(block) = directive.block.take() {
                directive.block = Some(self.with_included(block, depth + 1)?);
            }
            let pattern = Path::new(directive.arg(0));
            let is_file = directive.name == self.dialect.include
                && directive.args.len() == 1
                // Caddy's `import` names snippets too.
                && (!self.dialect.ends_at_line || directive.arg(0).contains(['/', '.', '*']));
            if !is_file {
                all.push(directive);
                continue;
            }
            if pattern
                .file_name()
                .is_some_and(|name| UNUSED_FILES.iter().any(|unused| name == *unused))
            {
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(SourceError::TooLarge);
            }
            match self.files(&self.base.join(pattern), depth + 1) {
                Ok(included) => all.extend(included),
                Err(SourceError::Unreadable { file, message }) => {
                    let why = format!(
                        "cannot read `{}` ({message}); what it says is missing here",
                        file.display()
                    );
                    self.findings.deny_all(directive.place, directive.shown(), why);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

struct Tree {
    pieces: Peekable<IntoIter<Scanned>>,
    file: usize,
    dialect: Dialect,
}

impl Tree {
    /// Directives up to the end of the text, or of the block that they are in.
    fn directives(
        &mut self,
        depth: usize,
        is_inner: bool,
    ) -> Result<Vec<Directive>, (usize, String)> {
        let mut directives = Vec::new();
        let mut words: Vec<(usize, String)> = Vec::new();
        let mut last = 1;
        while let Some((line, piece)) = self.pieces.next() {
            last = line;
            match piece {
                Piece::Word(word) => words.push((line, word)),
                Piece::End => directives.extend(self.directive(&mut words, None)),
                Piece::Open if depth >= MAX_DEPTH => {
                    return Err((line, format!("blocks are more than {MAX_DEPTH} deep")));
                }
                Piece::Open => {
                    // The global options of Caddy have no name.
                    if words.is_empty() {
                        words.push((line, String::new()));
                    }
                    let raw = !self.dialect.ends_at_line && words[0].1.ends_with("_by_lua_block");
                    let block =
                        if raw { self.skip(line)? } else { self.directives(depth + 1, true)? };
                    directives.extend(self.directive(&mut words, Some(block)));
                }
                Piece::Close => {
                    if !is_inner {
                        return Err((line, "`}` closes nothing".to_owned()));
                    }
                    if !words.is_empty() && !self.dialect.ends_at_line {
                        return Err((line, "a directive lacks its `;`".to_owned()));
                    }
                    directives.extend(self.directive(&mut words, None));
                    return Ok(directives);
                }
            }
        }
        if is_inner {
            return Err((last, "a `{` is never closed".to_owned()));
        }
        if !words.is_empty() && !self.dialect.ends_at_line {
            return Err((last, "a directive lacks its `;`".to_owned()));
        }
        directives.extend(self.directive(&mut words, None));
        Ok(directives)
    }

    /// Leaves out a program in another language.
    fn skip(&mut self, from: usize) -> Result<Vec<Directive>, (usize, String)> {
        let mut open = 1_usize;
        for (_, piece) in self.pieces.by_ref() {
            match piece {
                Piece::Open => open += 1,
                Piece::Close => open -= 1,
                Piece::Word(_) | Piece::End => {}
            }
            if open == 0 {
                return Ok(Vec::new());
            }
        }
        Err((from, "a `{` is never closed".to_owned()))
    }

    fn directive(
        &self,
        words: &mut Vec<(usize, String)>,
        block: Option<Vec<Directive>>,
    ) -> Option<Directive> {
        let mut words = std::mem::take(words).into_iter();
        let (line, name) = words.next()?;
        let place = Place { file: self.file, line };
        Some(Directive { place, name, args: words.map(|(_, word)| word).collect(), block })
    }
}
