//! What a command may have the server reach. Who may change a domain or a backend need not be who may
//! read the server's files: a command names pages below one directory alone, certificates that fit,
//! and no place of the server's own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::ControlError;
use super::caller::{FileErrors, HIDDEN_ERROR, HIDDEN_HINT};
use crate::model::{Backend, DomainName, MAX_PAGE_BYTES, PageFor, TlsMode, VirtualHost};
use crate::plain_file;
use crate::reserved_paths::ReservedPaths;
use crate::tls::{PairError, read_fitting_pair};

/// What commands may have the server reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The directory of the pages that they may name.
    pub pages_dir: Option<PathBuf>,
    /// What nobody is served from.
    pub reserved_paths: ReservedPaths,
}

const OWN_FILE: &str = "is in a place of the server's own; give a file of another directory";

impl Reach {
    /// Relative paths of pages become those of files below the directory of pages; `before` is how the
    /// virtual host was.
    ///
    /// # Errors
    /// When a page would be anywhere else.
    pub(super) fn place_pages(
        &self,
        before: Option<&VirtualHost>,
        after: &mut VirtualHost,
    ) -> Result<(), ControlError> {
        let mut new = new_pages(before, after).peekable();
        let Some((first, _)) = new.peek() else { return Ok(()) };
        let Some(directory) = &self.pages_dir else {
            let remedy = format!(
                "commands may only name files below `proxy.pages_dir`, which is not set in the config \
                 file. Set it, or give the page itself: \
                 `error_pages={{{first}={{text=\"…\",type=\"text/html\"}}}}`"
            );
            return Err(refused_page(after, *first, remedy));
        };
        let elsewhere = |path: &Path| path.is_absolute() && path.strip_prefix(directory).is_err();
        if let Some((status, path)) = new.find(|(_, path)| elsewhere(path)) {
            let remedy = format!(
                "`{}` is not below `{}` (`proxy.pages_dir`); name a file there",
                path.display(),
                directory.display()
            );
            return Err(refused_page(after, status, remedy));
        }
        drop(new);
        after.options.start_at(directory);
        Ok(())
    }

    /// Looks at the files that a command newly names for a virtual host, `before` being how it was. Blocks.
    ///
    /// # Errors
    /// When a file can't be had.
    pub(super) fn check_domain(
        &self,
        before: Option<&VirtualHost>,
        after: &VirtualHost,
        errors: FileErrors,
    ) -> Result<(), ControlError> {
        for (status, path) in new_pages(before, after) {
            self.check_page(path).map_err(|remedy| refused_page(after, status, remedy))?;
        }
        self.check_certificate(before, after, errors)
            .map_err(|remedy| refused(after, "tls".to_owned(), remedy))
    }

    fn check_page(&self, path: &Path) -> Result<(), String> {
        let shown = path.display();
        if self.reserved_paths.holds(path) {
            return Err(format!("`{shown}` {OWN_FILE}"));
        }
        let below = |directory| Some((directory, path.strip_prefix(directory).ok()?));
        let Some((directory, name)) = self.pages_dir.as_ref().and_then(below) else {
            return Err(format!("`{shown}` is not below `proxy.pages_dir`; name a file there"));
        };
        plain_file::read_below(directory, name, MAX_PAGE_BYTES)
            .map(drop)
            .map_err(|error| format!("cannot read `{shown}`: {error}"))
    }

    /// The files of a certificate are looked at when they are named, and when they are to serve more
    /// names. Those that are served already stay what they are.
    fn check_certificate(
        &self,
        before: Option<&VirtualHost>,
        after: &VirtualHost,
        errors: FileErrors,
    ) -> Result<(), String> {
        let TlsMode::Files { cert, key } = &after.top.tls else { return Ok(()) };
        let is_new = before.is_none_or(|before| before.top.tls != after.top.tls);
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
        for (key, path) in after.options.files() {
            let is_new =
                before.is_none_or(|before| !before.options.files().any(|file| file == (key, path)));
            if is_new && self.reserved_paths.holds(path) {
                let (backend, what) = (after.id.clone(), format!("`{key}` so"));
                let remedy = format!("`{}` {OWN_FILE}", path.display());
                return Err(ControlError::BackendOption { backend, what, remedy });
            }
        }
        Ok(())
    }
}

/// The pages that are not as they were.
fn new_pages<'a>(
    before: Option<&'a VirtualHost>,
    after: &'a VirtualHost,
) -> impl Iterator<Item = (PageFor, &'a Path)> {
    let stays = move |status: PageFor, path: &Path| {
        before.is_some_and(|before| before.options.get().error_pages.names(status, path))
    };
    let pages = after.options.get().error_pages.files();
    pages.filter(move |(status, path)| !stays(*status, path))
}

fn refused_page(of: &VirtualHost, status: PageFor, remedy: String) -> ControlError {
    refused(of, format!("error_pages.{status}"), remedy)
}

fn refused(of: &VirtualHost, path: String, remedy: String) -> ControlError {
    ControlError::OptionValue { domain: of.domain.clone(), path, remedy }
}
