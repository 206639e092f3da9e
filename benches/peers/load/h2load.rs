//! HTTP/2, and any HTTP at a steady rate, by `h2load`.

use std::time::Duration;

use super::{Latency, Load};
use crate::lab::run;
use crate::proxies::Running;
use crate::proxy::HOST;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct H2load {
    pub(crate) path: &'static str,
    pub(crate) connections: usize,
    pub(crate) streams: usize,
    pub(crate) http2: bool,
    pub(crate) tls: bool,
    /// Requests a second on all connections together; none is as fast as they are answered.
    pub(crate) rate: Option<usize>,
}

impl H2load {
    pub(crate) fn run(&self, proxy: &Running, seconds: u64) -> Result<Load, String> {
        let log = proxy.directory().join("h2load.log");
        let _ = std::fs::remove_file(&log);
        let (scheme, address) =
            if self.tls { ("https", proxy.https) } else { ("http", proxy.http) };
        let mut arguments = vec![
            "-t1".to_owned(),
            format!("-c{}", self.connections),
            format!("-m{}", self.streams),
            format!("-D{seconds}"),
            format!("--log-file={}", log.display()),
            format!("--connect-to={address}"),
        ];
        if let Some(rate) = self.rate {
            arguments.push(format!("--rps={}", rate / self.connections));
        }
        if !self.http2 {
            arguments.push("--h1".to_owned());
        }
        arguments.push(format!("{scheme}://{HOST}{}", self.path));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let said = run("h2load", &arguments)?;
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        let mut took = Vec::new();
        for line in text.lines() {
            let mut fields = line.split('\t').skip(1);
            let (status, micros) = (fields.next(), fields.next());
            // What was under way at the end was not answered.
            if status == Some("-1") {
                continue;
            }
            let micros = micros.and_then(|micros| micros.parse().ok());
            match (status, micros) {
                (Some("200"), Some(micros)) => took.push(Duration::from_micros(micros)),
                _ => return Err(format!("h2load: `{line}`: {said}")),
            }
        }
        if took.is_empty() {
            return Err(format!("h2load got no answer: {said}"));
        }
        Ok(Load {
            count: took.len(),
            took: Duration::from_secs(seconds),
            latency: Latency::of(took),
        })
    }
}
