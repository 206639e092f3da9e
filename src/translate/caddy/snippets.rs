//! Snippets: blocks that sites import by their name.

use std::collections::BTreeMap;

use crate::translate::blocks::Directive;
use crate::translate::source::Work;

/// How deep snippets may be in each other.
const MAX_DEPTH: usize = 16;
/// The most directives of all snippets together, wherever they are imported.
const MAX_DIRECTIVES: usize = 20_000;

/// Puts snippets in the places where they are imported.
pub(super) fn expand(directives: &[Directive], work: &mut Work<'_>) -> Vec<Directive> {
    let name = |it: &Directive| {
        let name = it.name.strip_prefix('(').and_then(|name| name.strip_suffix(')'));
        name.filter(|_| it.block.is_some()).map(str::to_owned)
    };
    let snippets = directives.iter().filter_map(|it| Some((name(it)?, it.children())));
    let mut expander = Expander { snippets: snippets.collect(), left: MAX_DIRECTIVES };
    let rest: Vec<_> = directives.iter().filter(|it| name(it).is_none()).collect();
    expander.expand(rest, 0, work)
}

struct Expander<'t> {
    snippets: BTreeMap<String, &'t [Directive]>,
    left: usize,
}

impl<'t> Expander<'t> {
    fn expand(
        &mut self,
        directives: Vec<&'t Directive>,
        depth: usize,
        work: &mut Work<'_>,
    ) -> Vec<Directive> {
        let mut all = Vec::new();
        for directive in directives {
            let Some(left) = self.left.checked_sub(1) else {
                work.findings.deny_all(
                    directive.place,
                    directive.shown(),
                    "there are too many snippets",
                );
                return all;
            };
            self.left = left;
            if directive.name == "import" {
                all.extend(self.import(directive, depth, work));
                continue;
            }
            let block = directive
                .block
                .as_ref()
                .map(|block| self.expand(block.iter().collect(), depth, work));
            let Directive { place, name, args, .. } = directive.clone();
            all.push(Directive { place, name, args, block });
        }
        all
    }

    fn import(
        &mut self,
        import: &'t Directive,
        depth: usize,
        work: &mut Work<'_>,
    ) -> Vec<Directive> {
        let found = self.snippets.get(import.arg(0)).copied();
        let (Some(snippet), true) = (found, depth < MAX_DEPTH) else {
            let why = "there is no such snippet; what it says is missing here";
            work.findings.deny_all(import.place, import.shown(), why);
            return Vec::new();
        };
        let mut directives = self.expand(snippet.iter().collect(), depth + 1, work);
        fill(&mut directives, import.args.get(1..).unwrap_or_default());
        directives
    }
}

/// Puts arguments into the places that a snippet has for them.
fn fill(directives: &mut [Directive], args: &[String]) {
    for directive in directives {
        for word in std::iter::once(&mut directive.name).chain(&mut directive.args) {
            if !word.contains("{args") {
                continue;
            }
            for (index, arg) in args.iter().enumerate().take(16) {
                *word = word.replace(&format!("{{args[{index}]}}"), arg);
                *word = word.replace(&format!("{{args.{index}}}"), arg);
            }
            word.truncate(word.floor_char_boundary(4096));
        }
        if let Some(block) = &mut directive.block {
            fill(block, args);
        }
    }
}
