//! HTTP/1.1 as fast as it is answered, by `wrk`.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::{Latency, Load};
use crate::lab::run;
use crate::proxies::Running;
use crate::proxy::HOST;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrk {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    /// Whether each request has a connection of its own.
    pub(crate) closes: bool,
    pub(crate) tls: bool,
    /// Bytes that are sent with each request.
    pub(crate) body: usize,
    /// How many domains are asked for; none is the one that all have.
    pub(crate) hosts: usize,
}

impl Wrk {
    /// Small answers over connections that are kept.
    pub(crate) const SMALL: Self =
        Self { path: "/", connections: 64, closes: false, tls: false, body: 0, hosts: 0 };

    pub(crate) fn run(&self, proxy: &Running, seconds: u64) -> Result<Load, String> {
        let mut script = include_str!("wrk.lua").to_owned();
        for (what, value) in [
            ("@BODY@", self.body.to_string()),
            ("@HOSTS@", self.hosts.to_string()),
            ("@HOST@", HOST.to_owned()),
            ("@CLOSE@", self.closes.to_string()),
            ("@PATH@", self.path.to_owned()),
        ] {
            script = script.replace(what, &value);
        }
        let file = proxy.directory().join("wrk.lua");
        std::fs::write(&file, script).map_err(|error| error.to_string())?;
        let said = run(
            "wrk",
            &[
                "-t1",
                &format!("-c{}", self.connections),
                &format!("-d{seconds}s"),
                "--timeout=10s",
                "--latency",
                "-s",
                &file.display().to_string(),
                &self.url(proxy.http, proxy.https),
            ],
        )?;
        parse(&said).ok_or_else(|| format!("wrk failed: {said}"))
    }

    fn url(&self, http: SocketAddr, https: SocketAddr) -> String {
        if self.tls {
            // The name of the URL is what TLS is asked for.
            format!("https://{HOST}:{}{}", https.port(), self.path)
        } else {
            format!("http://{http}{}", self.path)
        }
    }
}

/// Nothing when it was not told, or when anything failed.
fn parse(said: &str) -> Option<Load> {
    let line = said.lines().find(|line| line.starts_with('{'))?;
    let told: Value = serde_json::from_str(line).ok()?;
    let micros = |key: &str| told[key].as_u64().map(Duration::from_micros);
    let millis = |key: &str| Some(micros(key)?.as_secs_f64() * 1000.0);
    let count = usize::try_from(told["count"].as_u64()?).ok()?;
    (told["failed"] == 0 && count > 0).then_some(())?;
    Some(Load {
        count,
        took: micros("us")?,
        latency: Latency { p50: millis("p50")?, p99: millis("p99")?, p999: millis("p999")? },
    })
}
