//! The whole configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{
    Callee, HealthCheckSettings, LetsEncryptSettings, ListenAddr, ListenAddrs, Listeners,
    MetricsSettings, NotifySettings, ProxySettings, SwitchSettings, UpstreamSettings, lets_encrypt,
    logging, metrics, notify, proxy,
};
use crate::config::paths::Environment;
use crate::config::reader::Section;
use crate::config::table::{Settings as _, Table};
use crate::config::{Declared, Problem, Setting};
use crate::model::LoggingSettings;
use crate::reserved_paths::ReservedPaths;
use crate::telemetry::AccessLogSettings;
use crate::tls::PeerFiles;

/// All that a server needs to know before it starts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Config {
    /// The client's side, and the process itself.
    pub proxy: ProxySettings,
    /// The side of the backends.
    pub upstream: UpstreamSettings,
    /// The gate and the drain of switches.
    pub switch: SwitchSettings,
    /// How health is found.
    pub health_check: HealthCheckSettings,
    /// The log: level, format and output.
    pub logging: LoggingSettings,
    /// The line that each request leaves, where wanted.
    pub access_log: AccessLogSettings,
    /// Certificates from Let's Encrypt, where wanted.
    pub lets_encrypt: Option<LetsEncryptSettings>,
    /// Where certificates, keys and accounts are kept.
    pub cache_dir: PathBuf,
    /// The metrics endpoint.
    pub metrics: MetricsSettings,
    /// Who is notified of events.
    pub notify: Vec<NotifySettings>,
    /// Who may be asked before a switch.
    pub hooks: Vec<Callee>,
    /// The domains and backends.
    pub declared: Declared,
    /// The files that it names as error pages, wherever they are.
    pub named_pages: BTreeSet<PathBuf>,
    /// What is allowed and dangerous, or will be missed.
    pub warnings: Vec<Problem>,
    /// Certificates, keys and CAs that can't be used as they are now. A server starts all the same,
    /// without them; a check and a reload refuse the config.
    pub bad_files: Vec<Problem>,
    /// What the files of declared backends hold.
    pub peer_files: PeerFiles,
    /// Every key of the sections, with its value and where that came from. Empty where no file and no
    /// arguments were read. A section that is off as a whole, such as `[lets_encrypt]`, is not in it.
    pub effective: Vec<Setting>,
    /// The files that were read, the main one first.
    pub files: Vec<PathBuf>,
}

impl Config {
    /// A configuration in which everything but `proxy` has its default.
    pub(crate) fn new(proxy: ProxySettings) -> Self {
        Self { cache_dir: proxy.state_dir.join("certs"), proxy, ..Self::default() }
    }

    /// What is the server's own: nobody is served from there.
    pub(crate) fn reserved_paths(&self) -> ReservedPaths {
        let proxy = &self.proxy;
        let own = ["proxy.management_api_addr", "metrics.listen_addr"];
        let listeners = self.listeners().filter(|(key, _)| own.contains(key));
        ReservedPaths::new(
            proxy.admin_socket.clone(),
            vec![proxy.state_dir.clone(), self.cache_dir.clone()],
            listeners.map(|(key, listener)| (key, listener.address)).collect(),
        )
    }

    /// All that is listened on, with the keys that say so.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = (&'static str, ListenAddr)> {
        let proxy = &self.proxy;
        let metrics = Some(&self.metrics.listen_addr).filter(|_| self.metrics.enabled);
        let all = [
            ("proxy.listen_addr", proxy.listen_addr.as_ref()),
            ("proxy.listen_addr_http", proxy.listen_addr_http.as_ref()),
            ("proxy.management_api_addr", proxy.management_api_addr.as_ref()),
            ("metrics.listen_addr", metrics),
        ];
        let each = |(key, addresses): (&'static str, Option<&ListenAddrs>)| {
            let addresses = addresses.into_iter().flat_map(ListenAddrs::each);
            addresses.map(|address| (key, address)).collect::<Vec<_>>()
        };
        all.into_iter().flat_map(each)
    }
}

/// Every section, in the order of the file.
pub(in crate::config) fn tables() -> [Table; 11] {
    [
        ProxySettings::table(),
        UpstreamSettings::table(),
        SwitchSettings::table(),
        HealthCheckSettings::table(),
        logging::LoggingSection::table(),
        logging::AccessLogSection::table(),
        MetricsSettings::table(),
        lets_encrypt::LetsEncryptSection::table(),
        lets_encrypt::Fallback::table(),
        notify::NotifySection::table(),
        notify::HookSection::table(),
    ]
}

/// The names of the sections, in the order of the file.
pub(crate) fn sections() -> Vec<&'static str> {
    tables().iter().map(|table| table.name).collect()
}

/// What to do after a change of a key, such as `proxy.threads`, where that can't take effect while the
/// server runs.
pub(crate) fn remedy(key: &str) -> Option<&'static str> {
    let (section, key) = key.rsplit_once('.')?;
    let table = tables().into_iter().find(|table| table.name == section)?;
    table.rows.into_iter().find(|row| row.key == key)?.remedy
}

/// Reads all sections. What is wrong has its default in the answer, and is in the report.
pub(in crate::config) fn read(root: &mut Section<'_, '_>, environment: &Environment<'_>) -> Config {
    let mut listeners = Listeners::default();
    let (proxy, state_dir) =
        root.section("proxy", |section| proxy::read(section, &mut listeners, environment));
    let mut config = Config::new(proxy);
    if let Some((lets_encrypt, cache_dir)) =
        root.optional_section("lets_encrypt", |section| lets_encrypt::read(section, &state_dir))
    {
        config.lets_encrypt = Some(lets_encrypt);
        config.cache_dir = cache_dir.unwrap_or(config.cache_dir);
    }
    config.upstream =
        root.section("upstream", |s| UpstreamSettings::read(s, UpstreamSettings::default()));
    config.switch = root.section("switch", |s| SwitchSettings::read(s, SwitchSettings::default()));
    config.health_check = root
        .section("health_check", |s| HealthCheckSettings::read(s, HealthCheckSettings::default()));
    let own = vec![config.proxy.state_dir.clone(), config.cache_dir.clone()];
    let own = ReservedPaths::new(config.proxy.admin_socket.clone(), own, Vec::new());
    config.logging = root.section("logging", |section| logging::read_logging(section, &own));
    config.access_log = root.section("access_log", |section| {
        logging::read_access_log(section, &own, &config.logging.output)
    });
    config.metrics = root.section("metrics", |section| metrics::read(section, &mut listeners));
    config.notify = notify::read_notify(root);
    config.hooks = notify::read_hooks(root);
    config
}
