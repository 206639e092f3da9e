//! The operator's certificate files: read, watched, and the last valid pair kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::config::CertificateFiles;
use crate::plain_file::Stamp;
use crate::tls::{Served, Serving, Trust, expiry_error, read_pair};

/// The pairs of files that are watched.
#[derive(Default)]
pub(super) struct Files {
    pairs: HashMap<(PathBuf, PathBuf), Pair>,
}

/// What is known of a pair.
struct Pair {
    seen: Stamps,
    /// The last good one.
    good: Option<Arc<Served>>,
    error: Option<String>,
    /// Whether the error was reported.
    is_reported: bool,
}

/// The state of a pair of files.
#[derive(Debug, Clone)]
pub(super) struct FilePairState {
    /// The last certificate that was good.
    pub(super) good: Option<Arc<Served>>,
    /// What is wrong with the current files.
    pub(super) error: Option<String>,
}

/// The change of a pair.
#[derive(Debug)]
pub(super) enum FileChange {
    /// A new, valid pair.
    Good(Arc<Served>),
    /// A pair that can't be used; the last valid one stays.
    Bad(String),
}

/// Identifies the versions of both files.
type Stamps = [Option<Stamp>; 2];

impl Pair {
    /// Whether the last valid one has not expired.
    fn is_valid_now(&self) -> bool {
        let not_after = self.good.as_ref().map(|good| good.certificate.not_after());
        not_after.is_some_and(|until| until > SystemTime::now())
    }
}

impl Files {
    /// The certificate in a pair of files, which is watched from now on. Blocks.
    pub(super) fn open(&mut self, files: &CertificateFiles, serving: &Serving) -> FilePairState {
        let key = (files.cert.clone(), files.key.clone());
        let pair = self.pairs.entry(key).or_insert_with(|| {
            let seen = stamps(&files.cert, &files.key);
            let (good, error) = match read(&files.cert, &files.key, serving) {
                // An expired certificate is still better than none.
                Ok(served) => (Some(Arc::new(served)), None),
                Err(error) => (None, Some(error)),
            };
            Pair { seen, good, error, is_reported: true }
        });
        FilePairState { good: pair.good.clone(), error: pair.error.clone() }
    }

    /// Stops watching all pairs but these.
    pub(super) fn keep(&mut self, wanted: impl Fn(&Path, &Path) -> bool) {
        self.pairs.retain(|(cert, key), _| wanted(cert, key));
    }

    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The pairs that are watched.
    pub(super) fn watched(&self) -> Vec<(PathBuf, PathBuf)> {
        self.pairs.keys().cloned().collect()
    }

    /// Compares with the current state of the pairs, and returns those that have changed.
    pub(super) fn look(
        &mut self,
        now: Vec<((PathBuf, PathBuf), Stamps)>,
        serving: &Serving,
    ) -> Vec<(CertificateFiles, FileChange)> {
        let mut found = Vec::new();
        for ((cert, key), stamps) in now {
            let Some(pair) = self.pairs.get_mut(&(cert.clone(), key.clone())) else { continue };
            let is_new = stamps != pair.seen;
            if !is_new && pair.is_reported {
                continue;
            }
            pair.seen = stamps;
            let files = CertificateFiles { cert, key };
            let read = read(&files.cert, &files.key, serving).and_then(|served| {
                // An expired certificate never replaces a valid one.
                match expiry_error(&files.cert, &served.certificate) {
                    Some(error) if pair.is_valid_now() => Err(error.to_string()),
                    _ => Ok(served),
                }
            });
            match read {
                Ok(served) => {
                    let served = Arc::new(served);
                    pair.error = None;
                    pair.is_reported = true;
                    pair.good = Some(Arc::clone(&served));
                    found.push((files, FileChange::Good(served)));
                }
                // The other file may follow in a moment: it is reported if it is the same at the
                // next check.
                Err(_) if is_new => pair.is_reported = false,
                Err(error) => {
                    pair.is_reported = true;
                    pair.error = Some(error.clone());
                    found.push((files, FileChange::Bad(error)));
                }
            }
        }
        found
    }
}

/// The current versions of these pairs' files. Blocks.
pub(super) fn look_at(pairs: Vec<(PathBuf, PathBuf)>) -> Vec<((PathBuf, PathBuf), Stamps)> {
    pairs
        .into_iter()
        .map(|(cert, key)| (stamps(&cert, &key), (cert, key)))
        .map(|(s, p)| (p, s))
        .collect()
}

fn stamps(cert: &Path, key: &Path) -> Stamps {
    [cert, key].map(Stamp::of)
}

fn read(cert: &Path, key: &Path, serving: &Serving) -> Result<Served, String> {
    let certificate = read_pair(cert, key).map_err(|error| error.to_string())?;
    Ok(serving.serve(certificate, Trust::Public))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tls::testing::{expired_pem, self_signed_pem};

    fn write(files: &CertificateFiles, names: &[&str]) {
        let (cert, key) = self_signed_pem(names);
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
    }

    #[test]
    fn the_last_good_pair_is_kept_and_a_bad_one_told_once_it_stays() {
        let directory = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            cert: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        write(&files, &["one.example"]);
        let serving = Serving::new().unwrap();
        let mut watched = Files::default();
        let first = watched.open(&files, &serving).good.unwrap();
        let look = |watched: &mut Files| {
            let now = look_at(watched.watched());
            watched.look(now, &serving)
        };
        assert!(look(&mut watched).is_empty(), "nothing has changed");

        fs::write(&files.cert, self_signed_pem(&["two.example"]).0).unwrap();
        assert!(look(&mut watched).is_empty(), "its key may follow");
        let told = look(&mut watched);
        assert!(
            matches!(&told[..], [(_, FileChange::Bad(error))] if error.contains("belong")),
            "{told:?}"
        );
        assert!(look(&mut watched).is_empty(), "told once");
        let kept = watched.open(&files, &serving);
        assert!(kept.error.is_some() && Arc::ptr_eq(&kept.good.unwrap(), &first));

        write(&files, &["three.example"]);
        let told = look(&mut watched);
        assert!(matches!(&told[..], [(_, FileChange::Good(_))]), "{told:?}");

        // One that has run out doesn't take the place of one that works.
        let (cert, key) = expired_pem(&["three.example"]);
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        assert!(look(&mut watched).is_empty(), "more may follow");
        let told = look(&mut watched);
        assert!(
            matches!(&told[..], [(_, FileChange::Bad(error))] if error.contains("expired")),
            "{told:?}"
        );
        let kept = watched.open(&files, &serving).good.unwrap();
        assert!(kept.certificate.not_after() > SystemTime::now());
        watched.keep(|_, _| false);
        assert!(watched.watched().is_empty());
        assert!(watched.open(&files, &serving).good.is_some(), "it is better than none");
    }
}
