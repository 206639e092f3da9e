//! The config that a server runs by: read again, merged, put into effect, compared, exported.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};

use super::plane::off_the_runtime;
use super::{ControlError, ControlPlane};
use crate::config::{Config, Declared, Setting, Source};

/// Puts settings into effect. Given by the server, so that control need not know who goes by them.
pub(crate) type Settle = Box<dyn Fn(&Config) + Send + Sync>;

/// The config that a server runs by. Cloned handles share it.
#[derive(Clone)]
pub(crate) struct Configuration {
    pub(super) control: ControlPlane,
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    settle: Settle,
    /// The settings that are in effect.
    settings: ArcSwap<Vec<Setting>>,
    /// Held by a reload until its changes are in effect: one comes after the other.
    turn: Mutex<()>,
}

impl Configuration {
    /// The config that was read from `source` and is in effect.
    pub(crate) fn new(
        control: ControlPlane,
        source: Source,
        settings: Vec<Setting>,
        settle: Settle,
    ) -> Self {
        let settings = ArcSwap::from_pointee(settings);
        let inner = Arc::new(Inner { source, settle, settings, turn: Mutex::default() });
        Self { control, inner }
    }

    /// Where it comes from.
    pub(crate) fn source(&self) -> &Source {
        &self.inner.source
    }

    /// The settings that are in effect.
    pub(crate) fn settings(&self) -> Arc<Vec<Setting>> {
        self.inner.settings.load_full()
    }

    /// Waits until no other reload is under way.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.inner.turn.lock().await
    }

    /// Puts the settings of `config` into effect; `settings` are those that then are.
    pub(super) fn settle(&self, config: &Config, settings: Vec<Setting>) {
        (self.inner.settle)(config);
        self.inner.settings.store(Arc::new(settings));
    }

    /// Reads the config as it is now.
    pub(super) async fn read(&self) -> Result<Config, ControlError> {
        let source = self.inner.source.clone();
        off_the_runtime(move || match source {
            Source::File(_) => source.load().map_err(ControlError::Config),
            Source::Arguments(_) | Source::Made(..) => {
                Err(ControlError::NoFile { what: source.to_string() })
            }
        })
        .await
    }
}

impl ControlPlane {
    /// What the config declared when it was last applied.
    pub(super) async fn applied(&self) -> Result<Option<Declared>, ControlError> {
        let text = self.with_writer(|writer, _| Ok(writer.store.applied_file()?)).await?;
        let parse = |text: String| Declared::from_json(&text);
        let parsed = off_the_runtime(move || Ok(text.map(parse).transpose())).await?;
        parsed.map_err(|source| {
            let what = "the applied file";
            ControlError::Store(crate::store::StoreError::Row { what, source })
        })
    }
}
