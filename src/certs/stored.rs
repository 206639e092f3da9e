//! Stored certificates: read at a start, and when a domain is added again.

use std::collections::HashMap;
use std::sync::Arc;

use super::context::KeeperContext;
use crate::acme::{Ca, Loaded, Meta, Stored};
use crate::model::DomainName;
use crate::tls::{Certificate, Served, Trust};

/// A certificate from disk, ready to be served, or the metadata of failed attempts.
pub(super) struct StoredCertificate {
    pub(super) served: Option<Arc<Served>>,
    pub(super) meta: Meta,
    /// The directory URL of the CA that signed it; empty if that CA is no longer configured.
    pub(super) directory_url: String,
}

#[derive(Default)]
pub(super) struct StoredCertificates {
    pub(super) acme: HashMap<DomainName, StoredCertificate>,
    pub(super) imported: HashMap<DomainName, Arc<Served>>,
}

impl StoredCertificates {
    /// Reads all. Blocks; uses all cores, because there may be ten thousand.
    pub(super) fn open(shared: &KeeperContext) -> Self {
        let mut all = Self::default();
        let storage = &shared.settings.storage;
        let urls: Vec<_> = shared.settings.cas.iter().map(Ca::directory_url).collect();
        for url in &urls {
            let loaded = storage.of_ca(url).load();
            for (name, meta) in &loaded.tried {
                // The last failed attempts, if none has succeeded yet.
                all.put(name, None, meta.clone(), url);
            }
            for (name, served, meta) in read(shared, &loaded, shared.trust_in(url)) {
                all.put(&name, served, meta, url);
            }
        }
        // The certificate of a former CA is served until there is a new one.
        if !urls.is_empty() {
            for (name, served, _) in read(shared, &storage.load_others(&urls), Trust::Private) {
                all.put(&name, served, Meta::default(), "");
            }
        }
        for (name, served, _) in read(shared, &storage.imported().load(), Trust::Public) {
            if let Some(served) = served {
                all.imported.insert(name, served);
            }
        }
        all
    }

    /// Reads those of one name. Blocks.
    pub(super) fn of(shared: &KeeperContext, name: &DomainName) -> Self {
        let storage = &shared.settings.storage;
        let mut all = Self::default();
        for ca in &shared.settings.cas {
            let url = ca.directory_url();
            if let Some(stored) = storage.of_ca(url).load_one(name) {
                let served = serve(shared, &stored, shared.trust_in(url));
                all.put(name, served, stored.meta, url);
            }
        }
        if let Some(stored) = storage.imported().load_one(name)
            && let Some(served) = serve(shared, &stored, Trust::Public)
        {
            all.imported.insert(name.clone(), served);
        }
        all
    }

    /// Inserts a result, unless there is a better one: a certificate is better than none, and the
    /// first CA better than the next.
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
        self.acme.insert(name.clone(), StoredCertificate { served, meta, directory_url });
    }
}

type Read = (DomainName, Option<Arc<Served>>, Meta);

fn read(shared: &KeeperContext, loaded: &Loaded, trust: Trust) -> Vec<Read> {
    for (path, problem) in &loaded.problems {
        tracing::error!(path = %path.display(), problem, "stored certificate is not used");
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

fn serve(shared: &KeeperContext, stored: &Stored, trust: Trust) -> Option<Arc<Served>> {
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
