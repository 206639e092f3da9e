//! Texts of words, blocks in braces and comments, as nginx and Caddy write them: words with their lines.

/// What the two differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dialect {
    /// What ends a directive: `;`, or the end of its line.
    pub(super) ends_at_line: bool,
    /// Which directive includes other files.
    pub(super) include: &'static str,
}

/// A piece of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Word(String),
    Open,
    Close,
    End,
}

/// A piece and the line that it begins in.
pub(super) type Scanned = (usize, Piece);

/// The pieces of a text.
///
/// # Errors
/// With the line in which a quote is opened and not closed.
pub(super) fn scan(text: &str, dialect: Dialect) -> Result<Vec<Scanned>, (usize, String)> {
    let mut scanner =
        Scanner { rest: text.chars().peekable(), line: 1, pieces: Vec::new(), dialect };
    scanner.run()?;
    Ok(scanner.pieces)
}

struct Scanner<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: usize,
    pieces: Vec<Scanned>,
    dialect: Dialect,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    fn run(&mut self) -> Result<(), (usize, String)> {
        let is_caddy = self.dialect.ends_at_line;
        while let Some(&c) = self.rest.peek() {
            let line = self.line;
            match c {
                '\n' => {
                    self.next();
                    if is_caddy {
                        self.pieces.push((line, Piece::End));
                    }
                }
                c if c.is_whitespace() || c == '\u{feff}' => drop(self.next()),
                '#' => {
                    while self.rest.peek().is_some_and(|c| *c != '\n') {
                        self.next();
                    }
                }
                ';' if !is_caddy => self.single(Piece::End),
                '{' if !is_caddy => self.single(Piece::Open),
                '}' if !is_caddy => self.single(Piece::Close),
                '\\' if is_caddy && self.is_continued() => {}
                '"' | '`' | '\'' if c == '"' || is_caddy == (c == '`') => self.quoted(c)?,
                _ => self.word(),
            }
        }
        let line = self.line;
        if is_caddy {
            self.pieces.push((line, Piece::End));
        }
        Ok(())
    }

    fn single(&mut self, piece: Piece) {
        let line = self.line;
        self.next();
        self.pieces.push((line, piece));
    }

    /// Whether a backslash ends the line, which then goes on. Both are taken if so.
    fn is_continued(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        ahead.next();
        let mut taken = 1;
        if ahead.peek() == Some(&'\r') {
            ahead.next();
            taken += 1;
        }
        let is_continued = ahead.peek() == Some(&'\n');
        if is_continued {
            for _ in 0..=taken {
                self.next();
            }
        }
        is_continued
    }

    fn quoted(&mut self, quote: char) -> Result<(), (usize, String)> {
        let line = self.line;
        self.next();
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err((line, format!("the quote {quote} is never closed"))),
                Some(c) if c == quote => break,
                // Caddy's backquotes know no escapes.
                Some('\\') if quote != '`' => match self.next() {
                    Some(c) if c == quote || c == '\\' => word.push(c),
                    Some(c) => word.extend(['\\', c]),
                    None => {}
                },
                Some(c) => word.push(c),
            }
        }
        self.pieces.push((line, Piece::Word(word)));
        Ok(())
    }

    fn word(&mut self) {
        let line = self.line;
        let is_caddy = self.dialect.ends_at_line;
        let mut word = String::new();
        while let Some(&c) = self.rest.peek() {
            if c.is_whitespace() || (!is_caddy && matches!(c, ';' | '}')) {
                break;
            }
            // `${name}` is a variable of nginx.
            if !is_caddy && c == '{' {
                if !word.ends_with('$') {
                    break;
                }
                while let Some(c) = self.next() {
                    word.push(c);
                    if c == '}' || c.is_whitespace() {
                        break;
                    }
                }
                continue;
            }
            self.next();
            word.push(c);
            if c == '\\'
                && !is_caddy
                && let Some(c) = self.next()
            {
                word.push(c);
            }
        }
        let piece = match word.as_str() {
            "{" if is_caddy => Piece::Open,
            "}" if is_caddy => Piece::Close,
            _ => Piece::Word(word),
        };
        self.pieces.push((line, piece));
    }
}
