//! Files in the place of error answers, kept in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;

use crate::model::{DomainName, OptionSet, VirtualHost};
use crate::proxy::content::Content;
use crate::state::{Reader, Snapshot};

/// The largest page: all of them are held in memory.
const LARGEST: u64 = 1024 * 1024;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The pages of all domains, as they were read last. Clones share them.
#[derive(Clone, Default)]
pub struct Pages(Arc<ArcSwap<HashMap<PathBuf, Held>>>);

#[derive(Clone)]
struct Held {
    /// What the file was when it was read.
    stamp: Option<(SystemTime, u64)>,
    content: Result<Content, String>,
}

impl Pages {
    /// The page of a status, where there is one that could be read.
    pub(in crate::proxy) fn page(&self, options: &OptionSet, status: u16) -> Option<Content> {
        let path = options.error_pages.page_for(status)?;
        self.0.load().get(path)?.content.clone().ok()
    }

    /// What could not be read.
    pub fn warnings(&self) -> Vec<String> {
        let pages = self.0.load();
        let mut warnings: Vec<_> = pages
            .iter()
            .filter_map(|(path, held)| {
                let error = held.content.as_ref().err()?;
                Some(format!("error page `{}`: {error}", path.display()))
            })
            .collect();
        warnings.sort();
        warnings
    }

    /// Reads what is new or has changed, and forgets what nobody names. Blocks.
    fn read(&self, named: &BTreeSet<PathBuf>) {
        let held = self.0.load();
        let is_same = |path: &PathBuf| {
            let stamp = stamp(path);
            held.get(path).filter(|held| held.stamp.is_some() && held.stamp == stamp).cloned()
        };
        let pages = named.iter().map(|path| {
            let page = is_same(path).unwrap_or_else(|| Held {
                stamp: stamp(path),
                content: read(path).map_err(|error| error.to_string()),
            });
            (path.clone(), page)
        });
        self.0.store(Arc::new(pages.collect()));
    }
}

/// Keeps pages as the published state and the files say.
pub struct PageKeeper {
    pages: Pages,
    reader: Reader,
    seen: Arc<Snapshot>,
    named: BTreeMap<DomainName, Vec<PathBuf>>,
}

impl PageKeeper {
    /// Reads the pages of the state of now. Blocks.
    pub fn open(pages: Pages, reader: Reader) -> Self {
        let mut keeper = Self { pages, reader, seen: Arc::default(), named: BTreeMap::new() };
        keeper.follow();
        keeper.pages.read(&keeper.files());
        keeper
    }

    /// Runs until nothing is published any more.
    pub async fn keep(mut self) {
        loop {
            let look = async {
                if self.named.is_empty() {
                    std::future::pending::<()>().await;
                } else {
                    tokio::time::sleep(LOOK).await;
                }
            };
            tokio::select! {
                changed = self.reader.changed() => if changed.is_err() { return },
                () = look => {}
            }
            let had_none = self.named.is_empty();
            self.follow();
            if had_none && self.named.is_empty() {
                continue;
            }
            let (pages, files) = (self.pages.clone(), self.files());
            if tokio::task::spawn_blocking(move || pages.read(&files)).await.is_err() {
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
                let files: Vec<_> =
                    options.get().error_pages.iter().map(|(_, path)| path.to_owned()).collect();
                if !files.is_empty() {
                    self.named.insert(domain.clone(), files);
                }
            }
        }
        self.seen = now;
    }

    fn files(&self) -> BTreeSet<PathBuf> {
        self.named.values().flatten().cloned().collect()
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> std::io::Result<Content> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!("it is larger than {LARGEST} bytes")));
    }
    Ok(Content { kind: kind_of(path), bytes: Bytes::from(bytes) })
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
pub(in crate::proxy) fn without_body(response: &ResponseHeader) -> ResponseHeader {
    const OF_THE_BODY: [HeaderName; 11] = [
        header::ACCEPT_RANGES,
        header::CONTENT_DISPOSITION,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::CONTENT_LOCATION,
    ];
    let mut head = response.clone();
    for name in &OF_THE_BODY {
        head.remove_header(name);
    }
    head
}
