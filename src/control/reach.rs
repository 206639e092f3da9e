//! What a command may have the server reach. Who may change a domain or a backend need not be who may
//! read the server's files: a command names pages below one directory alone, certificates that fit,
//! and no place of the server's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ControlError;
use super::caller::{FileErrors, HIDDEN_ERROR, HIDDEN_HINT};
use crate::model::{
    Backend, BackendTls, DomainName, HostOptions, MAX_PAGE_BYTES, PageFor, TlsMode, VirtualHost,
};
use crate::plain_file;
use crate::reserved_paths::ReservedPaths;
use crate::tls::{PairError, read_fitting_pair};

/// What commands may have the server reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The directory of the pages that they may name.
    pub pages_dir: Option<PathBuf>,
    /// What nobody is served from.
    pub reserved_paths: ReservedPaths,
}

const OWN_FILE: &str = "is in a place of the server's own; give a file of another directory";

impl Reach {
    /// Looks at all that a command changes about a virtual host, `before` being how it was. Relative
    /// paths of pages become those of files below the directory of pages. Blocks.
    ///
    /// # Errors
    /// When a file can't be had.
    pub(super) fn check_domain(
        &self,
        before: Option<&VirtualHost>,
        after: &mut VirtualHost,
        errors: FileErrors,
    ) -> Result<(), ControlError> {
        let domain = after.domain.clone();
        let refuse = |path: String, remedy: String| ControlError::OptionValue {
            domain: domain.clone(),
            path,
            remedy,
        };
        self.check_pages(before.map(|before| &before.options), &mut after.options)
            .map_err(|(status, remedy)| refuse(format!("error_pages.{status}"), remedy))?;
        self.check_certificate(before, after, errors)
            .map_err(|remedy| refuse("tls".to_owned(), remedy))
    }

    fn check_pages(
        &self,
        before: Option<&HostOptions>,
        after: &mut HostOptions,
    ) -> Result<(), (PageFor, String)> {
        let stays = |status: PageFor, path: &Path| {
            before.is_some_and(|before| before.get().error_pages.names(status, path))
        };
        let pages = &after.get().error_pages;
        let mut new = pages.files().filter(|(status, path)| !stays(*status, path)).peekable();
        let Some((first, _)) = new.peek() else { return Ok(()) };
        let Some(directory) = &self.pages_dir else {
            let remedy = format!(
                "a command names files below `proxy.pages_dir` alone, which the config file does not \
                 set; set it, or give the page itself: \
                 `error_pages={{{first}={{text=\"…\",type=\"text/html\"}}}}`"
            );
            return Err((*first, remedy));
        };
        for (status, path) in new {
            let shown = path.display();
            let below = directory.display();
            let name = path.strip_prefix(directory).unwrap_or(path);
            if name.is_absolute() {
                return Err((
                    status,
                    format!(
                        "`{shown}` is not below `{below}` (`proxy.pages_dir`); name a file there"
                    ),
                ));
            }
            let whole = directory.join(name);
            if self.reserved_paths.holds(&whole) {
                return Err((status, format!("`{shown}` {OWN_FILE}")));
            }
            plain_file::read_below(directory, name, MAX_PAGE_BYTES)
                .map_err(|error| (status, format!("cannot read `{}`: {error}", whole.display())))?;
        }
        let directory = directory.clone();
        after.start_at(&directory);
        Ok(())
    }

    /// The files of a certificate are looked at when they are named, and when they are to serve more
    /// names. Those that are served already stay what they are.
    fn check_certificate(
        &self,
        before: Option<&VirtualHost>,
        after: &VirtualHost,
        errors: FileErrors,
    ) -> Result<(), String> {
        let TlsMode::Files { cert, key } = &after.tls else { return Ok(()) };
        let is_new = before.is_none_or(|before| before.tls != after.tls);
        let served: BTreeSet<&DomainName> =
            before.filter(|_| !is_new).into_iter().flat_map(VirtualHost::names).collect();
        let names: Vec<_> = after.names().filter(|name| !served.contains(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        if is_new && let Some(own) = [cert, key].into_iter().find(|p| self.reserved_paths.holds(p))
        {
            return Err(format!("`{}` {OWN_FILE}", own.display()));
        }
        read_fitting_pair(cert, key, names).map(drop).map_err(|error| match (errors, &error) {
            (
                FileErrors::Hidden,
                PairError::Unreadable { .. }
                | PairError::Swapped { .. }
                | PairError::Unusable { .. },
            ) => {
                let domain = &after.domain;
                tracing::info!(%domain, %error, "a command names a file that cannot be used");
                let (cert, key) = (cert.display(), key.display());
                format!("`{cert}` and `{key}`: {HIDDEN_ERROR}; {HIDDEN_HINT}")
            }
            _ => format!("{error}; {}", error.hint()),
        })
    }

    /// Looks at where a backend is to be, and at the files that its TLS names, where they are new.
    /// Blocks.
    ///
    /// # Errors
    /// When that is the server itself.
    pub(super) fn check_backend(
        &self,
        before: Option<&Backend>,
        after: &Backend,
    ) -> Result<(), ControlError> {
        let is_moved = before.is_none_or(|before| before.address != after.address);
        if is_moved && let Some(remedy) = self.reserved_paths.refuses(&after.address) {
            let what = format!("the address `{}`", after.address);
            return Err(ControlError::BackendOption { backend: after.id.clone(), what, remedy });
        }
        for (key, path) in files(&after.tls) {
            let is_new =
                before.is_none_or(|before| !files(&before.tls).any(|file| file == (key, path)));
            if is_new && self.reserved_paths.holds(path) {
                let (backend, what) = (after.id.clone(), format!("its `{key}` so"));
                let remedy = format!("`{}` {OWN_FILE}", path.display());
                return Err(ControlError::BackendOption { backend, what, remedy });
            }
        }
        Ok(())
    }
}

fn files(tls: &BackendTls) -> impl Iterator<Item = (&'static str, &Path)> {
    let BackendTls { ca_file, client_cert_file, client_key_file, .. } = tls;
    [
        (BackendTls::CA_FILE, ca_file),
        (BackendTls::CLIENT_CERT_FILE, client_cert_file),
        (BackendTls::CLIENT_KEY_FILE, client_key_file),
    ]
    .into_iter()
    .filter_map(|(key, file)| Some((key, file.as_deref()?)))
}
