//! Files and texts in the place of error answers; files are kept in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::HeaderValue;
use tokio::sync::watch;

use super::content::Content;
use crate::heads::names::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, ETAG, LAST_MODIFIED, TRAILER, TRANSFER_ENCODING,
};
use crate::heads::{ResponseHead, Set};
use crate::model::{DomainName, MAX_PAGE_BYTES, OptionSet, Page, VirtualHost};
use crate::plain_file::{self, Stamp};
use crate::reserved_paths::ReservedPaths;
use crate::state::{Reader, Snapshot};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Which files may be pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PageRules {
    /// Files below it may be pages, whoever names them.
    pub directory: Option<PathBuf>,
    /// The files that the config file names, wherever they are.
    pub named: BTreeSet<PathBuf>,
    /// What is never a page.
    pub reserved_paths: ReservedPaths,
}

impl PageRules {
    /// Reads a page, where it may be one. Blocks.
    fn read(&self, path: &Path) -> io::Result<Content> {
        if self.reserved_paths.holds(path) {
            return Err(io::Error::other("it is in a place of the server's own"));
        }
        let below = self
            .directory
            .as_deref()
            .and_then(|directory| path.strip_prefix(directory).ok().map(|name| (directory, name)));
        // The state may hold what a command said to a server that asked less of it.
        let bytes = match below {
            _ if self.named.contains(path) => plain_file::read(path, MAX_PAGE_BYTES)?,
            Some((directory, name)) => plain_file::read_below(directory, name, MAX_PAGE_BYTES)?,
            None => {
                return Err(io::Error::other(
                    "it is not below `proxy.pages_dir`, and the config file does not name it",
                ));
            }
        };
        Ok(Content { kind: kind_of(path), bytes: Bytes::from(bytes) })
    }
}

/// The pages of all domains, as they were read last. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    files: Arc<ArcSwap<HashMap<PathBuf, Held>>>,
    rules: watch::Sender<Arc<PageRules>>,
}

#[derive(Clone)]
struct Held {
    /// What the file was when it was read.
    stamp: Option<Stamp>,
    /// Its path for people: references in it as they are written, for what they mean may be a secret.
    shown: String,
    content: Result<Content, String>,
}

impl Pages {
    /// The page of a status, where there is one that could be read.
    pub(crate) fn page(&self, options: &OptionSet, status: u16) -> Option<Content> {
        match options.error_pages.page_for(status)? {
            Page::Text(text) => {
                Some(Content { kind: text.content_type().clone(), bytes: text.bytes().clone() })
            }
            Page::File(path) => self.files.load().get(path)?.content.clone().ok(),
        }
    }

    /// Says which files may be pages from now on.
    pub(crate) fn set_rules(&self, rules: PageRules) {
        self.rules.send_if_modified(|before| {
            let differs = **before != rules;
            if differs {
                *before = Arc::new(rules);
            }
            differs
        });
    }

    /// What could not be read.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let pages = self.files.load();
        let mut warnings: Vec<_> = pages
            .values()
            .filter_map(|held| {
                let error = held.content.as_ref().err()?;
                Some(format!("error page `{}`: {error}", held.shown))
            })
            .collect();
        warnings.sort();
        warnings
    }

    /// Reads what is new or has changed, and forgets what nobody names; reads all of it where others
    /// may be pages now. Blocks.
    fn read(&self, named: &BTreeMap<PathBuf, String>, rules: &PageRules, all: bool) {
        let held = self.files.load();
        let is_same = |path: &PathBuf, stamp: Option<Stamp>| {
            held.get(path).filter(|held| !all && stamp.is_some() && held.stamp == stamp).cloned()
        };
        let pages = named.iter().map(|(path, shown)| {
            let stamp = Stamp::of(path);
            let content = match is_same(path, stamp) {
                Some(held) => held.content,
                None => rules.read(path).map_err(|error| error.to_string()),
            };
            (path.clone(), Held { stamp, shown: shown.clone(), content })
        });
        self.files.store(Arc::new(pages.collect()));
    }
}

/// Keeps pages as the published state and the files say.
pub(crate) struct PageKeeper {
    pages: Pages,
    rules: watch::Receiver<Arc<PageRules>>,
    reader: Reader,
    seen: Arc<Snapshot>,
    /// The files that each domain names, with their paths for people.
    named: BTreeMap<DomainName, Vec<(PathBuf, String)>>,
}

impl PageKeeper {
    /// Reads the pages of the state of now. Blocks.
    pub(crate) fn open(pages: Pages, reader: Reader) -> Self {
        let rules = pages.rules.subscribe();
        let mut keeper =
            Self { pages, rules, reader, seen: Arc::default(), named: BTreeMap::new() };
        keeper.follow();
        let rules = keeper.rules.borrow_and_update().clone();
        keeper.pages.read(&keeper.files(), &rules, true);
        keeper
    }

    /// Runs until nothing is published any more.
    pub(crate) async fn keep(mut self) {
        loop {
            let look = async {
                if self.named.is_empty() {
                    std::future::pending::<()>().await;
                } else {
                    tokio::time::sleep(LOOK).await;
                }
            };
            let mut others = false;
            tokio::select! {
                changed = self.reader.changed() => if changed.is_err() { return },
                changed = self.rules.changed() => others = changed.is_ok(),
                () = look => {}
            }
            let had_none = self.named.is_empty();
            self.follow();
            if had_none && self.named.is_empty() {
                continue;
            }
            let (pages, files) = (self.pages.clone(), self.files());
            let rules = Arc::clone(&self.rules.borrow_and_update());
            let read = move || pages.read(&files, &rules, others);
            if tokio::task::spawn_blocking(read).await.is_err() {
                tracing::error!("error pages could not be read");
            }
        }
    }

    /// Notes what changed about domains since the last time.
    fn follow(&mut self) {
        let now = self.reader.load();
        for (was, is) in now.domains_changed_since(&self.seen) {
            if let Some(was) = was {
                self.named.remove(&was.domain);
            }
            if let Some(VirtualHost { domain, options, .. }) = is {
                let files = options.shown_pages();
                if !files.is_empty() {
                    self.named.insert(domain.clone(), files);
                }
            }
        }
        self.seen = now;
    }

    /// All of them; of a file that several domains name, the path that refers to something is shown.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
        for (path, shown) in self.named.values().flatten() {
            let before = files.get(path);
            if before.is_none_or(|before| path.to_str() == Some(before)) {
                files.insert(path.clone(), shown.clone());
            }
        }
        files
    }
}

fn kind_of(path: &Path) -> HeaderValue {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let text = if kind.type_() == mime_guess::mime::TEXT {
        format!("{kind}; charset=utf-8")
    } else {
        kind.to_string()
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// Takes out of a backend's head what belongs to the body that it sent.
pub(crate) fn without_body(response: &ResponseHead) -> ResponseHead {
    const OF_THE_BODY: Set = Set::of(&[
        ACCEPT_RANGES,
        CONTENT_DISPOSITION,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        ETAG,
        LAST_MODIFIED,
        TRAILER,
        TRANSFER_ENCODING,
        CONTENT_LOCATION,
    ]);
    let mut head = response.copy();
    head.headers.remove_any(OF_THE_BODY);
    head
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_page_is_below_the_directory_or_named_by_the_file_and_never_the_servers_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for folder in ["pages", "elsewhere", "state", "pages/state"] {
            fs::create_dir(path(folder)).unwrap();
        }
        for file in ["pages/a.html", "elsewhere/named", "elsewhere/other", "state/tokens.json"] {
            fs::write(path(file), file).unwrap();
        }
        fs::write(path("pages/state/store.db"), "state").unwrap();
        fs::hard_link(path("state/tokens.json"), path("pages/hard")).unwrap();
        symlink(path("elsewhere/other"), path("pages/link")).unwrap();
        let rules = PageRules {
            directory: Some(path("pages")),
            named: [path("elsewhere/named"), path("state/tokens.json")].into(),
            reserved_paths: ReservedPaths::new(
                path("admin.sock"),
                vec![path("state"), path("pages/state")],
                Vec::new(),
            ),
        };
        for (name, is_page) in [
            ("pages/a.html", true),
            ("elsewhere/named", true),
            ("elsewhere/other", false),
            ("pages/../elsewhere/other", false),
            ("pages/link", false),
            ("pages/hard", false),
            ("pages/state/store.db", false),
            // Not even the config file makes it one.
            ("state/tokens.json", false),
        ] {
            assert_eq!(rules.read(&path(name)).is_ok(), is_page, "{name}");
        }
        for outside in ["/proc/self/environ", "/etc/passwd"] {
            assert!(rules.read(Path::new(outside)).is_err(), "{outside}");
        }
    }
}
