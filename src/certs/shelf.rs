//! Certificates that were stored before: read at a start, and when a domain comes back.

use std::collections::HashMap;
use std::sync::Arc;

use super::shared::Shared;
use crate::acme::{Ca, Loaded, Meta, Stored};
use crate::model::DomainName;
use crate::tls::{Certificate, Served, Trust};

/// A certificate from the disk, ready to be served, or what is known of attempts to get one.
pub(super) struct Shelved {
    pub(super) served: Option<Arc<Served>>,
    pub(super) meta: Meta,
    /// The CA that signed it; empty where that is not configured any more.
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
        let storage = &shared.settings.storage;
        let urls: Vec<_> = shared.settings.cas.iter().map(Ca::directory_url).collect();
        for url in &urls {
            let loaded = storage.of_ca(url).load();
            for (name, meta) in &loaded.tried {
                // How the last attempts ended where none succeeded yet.
                shelf.put(name, None, meta.clone(), url);
            }
            for (name, served, meta) in read(shared, &loaded, shared.trust_in(url)) {
                shelf.put(&name, served, meta, url);
            }
        }
        // What a CA signed that is not asked any more is served until another has.
        if !urls.is_empty() {
            for (name, served, _) in read(shared, &storage.load_others(&urls), Trust::Private) {
                shelf.put(&name, served, Meta::default(), "");
            }
        }
        for (name, served, _) in read(shared, &storage.imported().load(), Trust::Public) {
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
            if let Some(stored) = storage.of_ca(url).load_one(name) {
                let served = serve(shared, &stored, shared.trust_in(url));
                shelf.put(name, served, stored.meta, url);
            }
        }
        if let Some(stored) = storage.imported().load_one(name)
            && let Some(served) = serve(shared, &stored, Trust::Public)
        {
            shelf.imported.insert(name.clone(), served);
        }
        shelf
    }

    /// Puts what was found, unless there is something better: a certificate is better than none, and
    /// the CA that is tried first better than the next.
    fn put(
        &mut self,
        name: &DomainName,
        served: Option<Arc<Served>>,
        meta: Meta,
        directory_url: &str,
    ) {
        let before = self.acme.get(name);
        if before.is_some_and(|before| before.served.is_some() || served.is_none()) {
            return;
        }
        let directory_url = directory_url.to_owned();
        self.acme.insert(name.clone(), Shelved { served, meta, directory_url });
    }
}

type Read = (DomainName, Option<Arc<Served>>, Meta);

fn read(shared: &Shared, loaded: &Loaded, trust: Trust) -> Vec<Read> {
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
