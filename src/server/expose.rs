//! Serves metrics, and the page for people.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::ServerError;
use super::listen::bind_metrics;
use super::sockets::Sockets;
use crate::accept::{Closing, until_closed};
use crate::config::{Config, MetricsSettings};
use crate::exposition::{self, AccessOf, Exposed, Exposition, Overview, StatusPage};
use crate::rpc::Dispatch;
use crate::tokens::Tokens;

/// Metrics that nobody reads yet.
pub(super) struct Bound {
    settings: MetricsSettings,
    /// Where they will be served; nowhere where they are off.
    listeners: Vec<TcpListener>,
}

/// What is exposed, by whoever asks.
pub(super) fn exposition(config: &Config, exposed: Exposed) -> Exposition {
    Exposition::new(exposed, config.metrics.per_domain_limit)
}

/// Binds the addresses at which metrics are served on `control`, where they are.
pub(super) fn bind(
    config: &Config,
    control: &Runtime,
    sockets: &Sockets,
) -> Result<Bound, ServerError> {
    let _context = control.enter();
    Ok(Bound { settings: config.metrics.clone(), listeners: bind_metrics(config, sockets)? })
}

impl Bound {
    /// Serves them.
    pub(super) fn serve(
        self,
        control: &Runtime,
        exposition: &Exposition,
        dispatch: &Dispatch,
        tokens: &Tokens,
        closing: &Closing,
    ) {
        let Self { settings, listeners } = self;
        for listener in listeners {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(listen_addr = %address, "serving metrics");
            }
            let page = settings.status_page.then(|| StatusPage {
                overview: overview_of(dispatch),
                tokens: settings.status_page_token.then(|| access_by(tokens.clone())),
            });
            let (exposition, hosts) = (exposition.clone(), settings.hosts.clone());
            let serving = exposition::serve(listener, exposition, page, hosts);
            control.spawn(until_closed(closing.clone(), serving));
        }
    }
}

/// What a token of the page allows.
fn access_by(tokens: Tokens) -> AccessOf {
    Arc::new(move |secret: &str| tokens.holder(secret).map(|holder| holder.access))
}

/// What the page shows.
fn overview_of(dispatch: &Dispatch) -> Overview {
    let dispatch = dispatch.clone();
    Arc::new(move || {
        let dispatch = dispatch.clone();
        Box::pin(async move { dispatch.overview().await })
    })
}
