//! Certificates that were stored before: read at a start, and when a domain comes back.

use std::collections::HashMap;
use std::sync::Arc;

use super::shared::Shared;
use crate::acme::{Loaded, Meta, Stored};
use crate::model::DomainName;
use crate::tls::{Certificate, Served, Trust};

/// A certificate from the disk, ready to be served.
pub(super) struct Shelved {
    pub(super) served: Option<Arc<Served>>,
    pub(super) meta: Meta,
    pub(super) directory_url: String,
}

/// All that is stored.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) acme: HashMap<DomainName, Shelved>,
    pub(super) imported: HashMap<DomainName, Arc<Served>>,
}

impl Shelf {
    /// Reads everything that is stored. Blocks; uses all cores, for there may be ten thousand.
    pub(super) fn open(shared: &Shared) -> Self {
        let mut shelf = Self::default();
        // The last is what counts: the CA that is tried first.
        for ca in shared.settings.cas.iter().rev() {
            let url = ca.directory_url();
            let trust = shared.trust_in(url);
            for (name, served, meta) in read(shared, shared.settings.storage.load(url), trust) {
                let is_better = served.is_some()
                    || shelf.acme.get(&name).is_none_or(|other| other.served.is_none());
                if is_better {
                    let directory_url = url.to_owned();
                    shelf.acme.insert(name, Shelved { served, meta, directory_url });
                }
            }
        }
        let imported = shared.settings.storage.load_imported();
        for (name, served, _) in read(shared, imported, Trust::Public) {
            if let Some(served) = served {
                shelf.imported.insert(name, served);
            }
        }
        shelf
    }

    /// Reads what is stored for one name. Blocks.
    pub(super) fn of(shared: &Shared, name: &DomainName) -> Self {
        let storage = &shared.settings.storage;
        let mut shelf = Self::default();
        for ca in &shared.settings.cas {
            let url = ca.directory_url();
            let Some(stored) = storage.load_one(url, name) else { continue };
            let served = serve(shared, &stored, shared.trust_in(url));
            let directory_url = url.to_owned();
            shelf.acme.insert(name.clone(), Shelved { served, meta: stored.meta, directory_url });
            break;
        }
        if let Some(stored) = storage.load_one_imported(name)
            && let Some(served) = serve(shared, &stored, Trust::Public)
        {
            shelf.imported.insert(name.clone(), served);
        }
        shelf
    }
}

type Read = (DomainName, Option<Arc<Served>>, Meta);

fn read(shared: &Shared, loaded: Loaded, trust: Trust) -> Vec<Read> {
    for (path, problem) in &loaded.problems {
        tracing::error!(path = %path.display(), problem, "stored certificate left alone");
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = loaded.stored.len().div_ceil(threads).max(1);
    let read =
        |stored: &Stored| (stored.name.clone(), serve(shared, stored, trust), stored.meta.clone());
    std::thread::scope(|scope| {
        let parts: Vec<_> = loaded
            .stored
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

fn serve(shared: &Shared, stored: &Stored, trust: Trust) -> Option<Arc<Served>> {
    // What was stored without a certificate tells how the last attempts ended.
    if stored.bundle.is_empty() {
        return None;
    }
    let problem = match Certificate::from_bundle(&stored.bundle) {
        Ok(certificate) if certificate.covers(&stored.name) => {
            return Some(Arc::new(shared.serving.serve(certificate, trust)));
        }
        Ok(_) => "it is for other names".to_owned(),
        Err(error) => error.to_string(),
    };
    tracing::error!(name = %stored.name, problem, "stored certificate can't be used");
    None
}
