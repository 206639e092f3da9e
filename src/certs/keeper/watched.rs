//! Changes of the operator's files.

use std::sync::Arc;

use super::super::entry::Entry;
use super::super::files;
use super::super::files::{FileChange, FilePairState};
use super::super::plan::Plan;
use super::{Keeper, served_news};
use crate::config::CertificateFiles;
use crate::model::{Actor, CertificateNews, DomainName};

impl Keeper {
    pub(super) async fn look_at_files(&mut self) {
        let watched = self.files.watched();
        let looked = tokio::task::spawn_blocking(move || files::look_at(watched)).await;
        let Ok(looked) = looked else { return };
        for (files, found) in self.files.look(looked, &self.shared.serving) {
            self.take_files(&files, &found).await;
        }
    }

    pub(super) async fn take_files(&mut self, files: &CertificateFiles, found: &FileChange) {
        if self.shared.settings.default_certificate.as_ref() == Some(files) {
            let error = match found {
                FileChange::Good(served) => {
                    self.shared.store.publish_default(Some(served));
                    None
                }
                // The previous one is still served.
                FileChange::Bad(error) => {
                    tracing::error!(error, "the default certificate can't be used");
                    Some(error.clone())
                }
            };
            *self.shared.default_error.write() = error;
        }
        let of_these = |entry: &Entry| matches!(&entry.plan, Plan::Files { cert, key } if *cert == files.cert && *key == files.key);
        let names: Vec<DomainName> = {
            let table = self.shared.table.read();
            table.iter().filter(|(_, e)| of_these(e)).map(|(name, _)| name.clone()).collect()
        };
        for name in names {
            let mut news = None;
            self.edit(&name, |entry| {
                let before = entry.served.is_some();
                let (good, error) = match found {
                    FileChange::Good(served) => (Some(Arc::clone(served)), None),
                    FileChange::Bad(error) => {
                        let good = entry.served.as_ref().map(|(_, served)| Arc::clone(served));
                        (good, Some(error.clone()))
                    }
                };
                entry.take_file(&name, FilePairState { good, error });
                news = Some(match (&entry.trouble, &entry.served) {
                    (None, Some((source, served))) => served_news(served, *source, before),
                    (trouble, _) => {
                        let error = trouble.as_ref().map(|trouble| trouble.text.clone());
                        CertificateNews::Rejected { error: error.unwrap_or_default() }
                    }
                });
            });
            if let Some(CertificateNews::Rejected { error }) = &news {
                tracing::error!(%name, error, "certificate files can't be used");
            } else {
                tracing::info!(%name, "certificate files were read again");
            }
            if let Some(news) = news {
                self.tell(Actor::Certificates, &name, news).await;
            }
        }
    }
}
