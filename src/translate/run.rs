//! The translation of a whole config.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::blocks::Blocks;
use super::draft::Draft;
use super::finding::{Findings, Place};
use super::source::{Hints, Read, Source, SourceError, Translation, Work};
use super::{caddy, kamal, limiting, nginx, traefik, tree_file};

impl Source {
    /// Translates a config; `path` is where it is.
    ///
    /// # Errors
    /// When it can't be read, or not parsed.
    pub(crate) fn translate(
        self,
        path: &Path,
        reader: &dyn Read,
        hints: &Hints,
    ) -> Result<Translation, SourceError> {
        let reader = &Remembering { reader, read: RefCell::default() };
        let mut work = Work {
            source: self,
            draft: Draft::default(),
            findings: Findings::default(),
            hints,
            reader,
        };
        match self {
            Self::Caddy => {
                let blocks = Blocks::read(path, reader, caddy::DIALECT, &mut work.findings)?;
                caddy::translate(&blocks, &mut work);
            }
            Self::Nginx => {
                let blocks = Blocks::read(path, reader, nginx::DIALECT, &mut work.findings)?;
                nginx::translate(&blocks, &mut work);
            }
            Self::Kamal => {
                let config = tree_file::read(path, reader, &mut work.findings)?;
                kamal::translate(&config, &mut work);
            }
            Self::Traefik => {
                let config = tree_file::read(path, reader, &mut work.findings)?;
                traefik::translate(path, config, &mut work)?;
            }
        }
        let heading = format!("# Translated from {} by `vhost from`.", self.name());
        let Work { mut draft, mut findings, .. } = work;
        for (file, text) in reader.read.borrow().iter() {
            for (line, text) in limiting::lines(self, text) {
                findings.check(file, line, &text);
            }
        }
        draft.finish(&findings);
        let config = draft.render(&heading);
        if !config.contains("[[virtual_hosts]]") {
            findings.warn(
                Place::default(),
                path.display().to_string(),
                "no domain was found in it",
            );
        }
        Ok(Translation { config, findings: findings.into_sorted() })
    }
}

/// Remembers what was read.
struct Remembering<'r> {
    reader: &'r dyn Read,
    read: RefCell<BTreeMap<PathBuf, String>>,
}

impl Read for Remembering<'_> {
    fn matching(&self, pattern: &Path) -> io::Result<Vec<(PathBuf, String)>> {
        let found = self.reader.matching(pattern)?;
        self.read.borrow_mut().extend(found.iter().cloned());
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One text, whatever is asked for.
    struct Only(String);

    impl Read for Only {
        fn matching(&self, pattern: &Path) -> io::Result<Vec<(PathBuf, String)>> {
            Ok(vec![(pattern.to_owned(), self.0.clone())])
        }
    }

    const ALL: [(Source, &str); 5] = [
        (Source::Caddy, "Caddyfile"),
        (Source::Kamal, "deploy.yml"),
        (Source::Nginx, "nginx.conf"),
        (Source::Traefik, "traefik.yml"),
        (Source::Traefik, "traefik.toml"),
    ];

    /// Whatever comes of it is a config whose TOML is right, or an error.
    fn translate_as_all(text: &str) {
        for (source, path) in ALL {
            let reader = Only(text.to_owned());
            if let Ok(translation) = source.translate(Path::new(path), &reader, &Hints::default()) {
                let config = &translation.config;
                assert!(config.parse::<toml::Table>().is_ok(), "{source:?}: {config}");
            }
        }
    }

    /// What means something to one of them.
    const WORDS: [&str; 66] = [
        "{",
        "}",
        ";",
        "\n",
        " ",
        "\"",
        "'",
        "`",
        "(",
        ")",
        "[",
        "]",
        ":",
        "- ",
        "  ",
        "#",
        "\\",
        "$",
        "é",
        "${x}",
        "server",
        "listen 80",
        "listen 127.0.0.1:81 ssl",
        "server_name a.test",
        "location / ",
        "location ~ x ",
        "proxy_pass http://b:1/",
        "proxy_pass http://u",
        "upstream u ",
        "return 301 https://$host$request_uri",
        "return 301 https://é.test$request_uri",
        "if ($x) ",
        "allow 10.0.0.0/8",
        "deny all",
        "auth_basic x",
        "add_header X y",
        "error_page 502 /x",
        "limit_req zone=a",
        "include x",
        "import x",
        "(x)",
        "() ",
        "a.test ",
        ":80 ",
        "http://",
        "reverse_proxy :1-9 ",
        "handle_path /a/* ",
        "@m ",
        "respond @m 403",
        "header -X",
        "header_up Host {x}",
        "basic_auth",
        "tls internal",
        "lb_policy header",
        "to",
        "redir",
        "http:",
        "routers:",
        "rule: Host(`a`)",
        "middlewares: a",
        "services:",
        "labels:",
        "service: a",
        "servers:",
        "&a ",
        "*a",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_makes_a_panic(text in ".{0,200}") {
            translate_as_all(&text);
        }

        #[test]
        fn no_words_make_a_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60)) {
            translate_as_all(&words.concat());
        }

        #[test]
        fn no_change_of_a_config_makes_a_panic(
            at in 0.0..1.0_f64, length in 0_usize..40, word in prop::sample::select(&WORDS[..]),
        ) {
            for text in [
                include_str!("../../tests/from/nginx/shop.conf"),
                include_str!("../../tests/from/nginx/locked.conf"),
                include_str!("../../tests/from/caddy/many.Caddyfile"),
                include_str!("../../tests/from/traefik/compose.yaml"),
                include_str!("../../tests/from/traefik/conf/app.yml"),
                include_str!("../../tests/from/traefik/dynamic.toml"),
                include_str!("../../tests/from/kamal/roles.yml"),
            ] {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
                    reason = "it is within the text")]
                let at = text.floor_char_boundary((at * text.len() as f64) as usize);
                let end = text.floor_char_boundary((at + length).min(text.len()));
                translate_as_all(&format!("{}{word}{}", &text[..at], &text[end..]));
            }
        }
    }

    #[test]
    fn what_is_too_deep_or_includes_itself_is_refused() {
        let deep = "a {\n".repeat(5000);
        translate_as_all(&deep);
        let nested = Only("include x;".to_owned());
        let result = Source::Nginx.translate(Path::new("x"), &nested, &Hints::default());
        assert_eq!(result.unwrap_err(), SourceError::TooLarge);
        let wide = Only("include x;include x;include x;".to_owned());
        let result = Source::Nginx.translate(Path::new("x"), &wide, &Hints::default());
        assert_eq!(result.unwrap_err(), SourceError::TooLarge);
    }
}
