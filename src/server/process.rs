//! What must be so of the process, whatever the config says.

use tokio::runtime::Runtime;

use super::ServerError;

/// What must be true of the process before anything else.
pub(super) fn prepare_process() -> Result<(), ServerError> {
    // Fails when one was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    check_roots()?;
    raise_file_limit();
    Ok(())
}

/// Pingora's connectors panic without root certificates; here it can still be said why.
pub(super) fn check_roots() -> Result<(), ServerError> {
    let mut roots = rustls::RootCertStore::empty();
    let loaded = pingora::tls::load_platform_certs_incl_env_into_store(&mut roots);
    if loaded.is_err() || roots.is_empty() {
        return Err(ServerError::NoRootCertificates);
    }
    Ok(())
}

/// Each connection costs two descriptors; the soft limit of most systems is far below the hard one.
fn raise_file_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

pub(super) fn runtime(name: &str, threads: usize) -> Result<Runtime, ServerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(ServerError::Runtime)
}
