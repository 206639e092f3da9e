//! Serves metrics, and the page for people.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ServerError;
use super::listen::listen;
use crate::config::{Config, MetricsSettings};
use crate::exposition::{self, Exposed, Exposition, Overview, StatusPage};
use crate::rpc::Dispatch;
use crate::tokens::Tokens;

/// Metrics that nobody reads yet.
pub(super) struct Bound {
    settings: MetricsSettings,
    /// Where they will be served, where they will.
    listener: Option<TcpListener>,
}

/// What is exposed, by whoever asks.
pub(super) fn exposition(config: &Config, exposed: Exposed) -> Exposition {
    Exposition::new(exposed, config.metrics.per_domain_limit)
}

/// Binds the address at which metrics are served on `control`, where they are.
pub(super) fn bind(settings: MetricsSettings, control: &Runtime) -> Result<Bound, ServerError> {
    let _context = control.enter();
    let address = settings.listen_addr;
    let listener = settings.enabled.then(|| listen(address)).transpose();
    let listener = listener.map_err(|source| ServerError::Listen {
        key: "metrics.listen_addr",
        address,
        source,
    })?;
    Ok(Bound { settings, listener })
}

impl Bound {
    /// Serves them.
    pub(super) fn serve(
        self,
        control: &Runtime,
        exposition: Exposition,
        dispatch: &Dispatch,
        tokens: Tokens,
    ) {
        let Self { settings, listener } = self;
        let Some(listener) = listener else { return };
        tracing::info!(listen_addr = %settings.listen_addr, "serving metrics");
        let page = settings.status_page.then(|| StatusPage {
            overview: overview_of(dispatch),
            tokens: settings.status_page_token.then_some(Arc::new(move |secret: &str| {
                tokens.holder(secret).map(|holder| holder.access)
            }) as _),
        });
        control.spawn(exposition::serve(listener, exposition, page, settings.hosts));
    }
}

/// What the page shows.
fn overview_of(dispatch: &Dispatch) -> Overview {
    let dispatch = dispatch.clone();
    Arc::new(move || {
        let dispatch = dispatch.clone();
        Box::pin(async move { dispatch.overview().await })
    })
}
