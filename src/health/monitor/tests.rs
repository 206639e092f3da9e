use std::io::Write;
use std::sync::Arc;

use super::*;
use crate::health::testing::{backend, no_cap, quick_check};
use crate::model::{Scheme, UpstreamFailure};

fn monitor(address: &str) -> Monitor {
    Monitor::new(
        BackendNode::new(
            backend("w1", address, Scheme::Http),
            None,
            &crate::tls::PeerFiles::default(),
        ),
        Arc::new(quick_check().check()),
        no_cap(),
        Recoveries::default(),
        broadcast::Sender::new(16),
    )
}

fn passed() -> Probe {
    Probe {
        latency: std::time::Duration::from_millis(3),
        status: Some(200),
        error: None,
        address: None,
    }
}

fn failed() -> Probe {
    Probe { status: None, error: Some("connection refused".into()), ..passed() }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged at info and above while `run` runs.
fn logged(run: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, run);
    let text = String::from_utf8(log.0.lock().clone()).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_transition_is_logged_once_with_its_reason() {
    let lines = logged(|| {
        let monitor = monitor("127.0.0.1:3000");
        for _ in 0..5 {
            monitor.record(passed());
        }
        for _ in 0..5 {
            monitor.record(failed());
        }
    });
    assert_eq!(
        lines,
        [
            "INFO backend is healthy backend_id=w1 upstream_addr=127.0.0.1:3000 \
             reason=\"enough probes in a row passed\"",
            "WARN backend is unhealthy backend_id=w1 upstream_addr=127.0.0.1:3000 \
             reason=\"connection refused\"",
        ]
    );
}

#[test]
fn a_verdict_keeps_its_date_while_the_last_probe_is_told() {
    let monitor = monitor("127.0.0.1:3000");
    monitor.record(passed());
    let since = monitor.record(passed()).report.since_ms;
    let after = monitor.record(failed());
    assert!(!after.passed);
    assert_eq!(after.report.status, HealthStatus::Healthy, "one failure decides nothing");
    assert_eq!((since, since.is_some()), (after.report.since_ms, true));
    assert_eq!(after.report.last_error.as_deref(), Some("connection refused"));
    assert_eq!(after.report.last_status, None);
    assert_eq!(after.report.latency_ms, Some(std::time::Duration::from_millis(3).into()));
    let again = monitor.record(passed());
    assert!(again.passed && again.report.last_error.is_none() && again.report.failed_ms.is_none());
    assert_eq!(monitor.node.live.health_report(), again.report, "what is answered is published");
}

#[test]
fn a_success_of_traffic_between_a_failure_and_a_failed_probe_is_heeded() {
    let monitor = monitor("127.0.0.1:3000");
    let live = &monitor.node.live;
    monitor.record(passed());
    monitor.record(passed());
    live.note_failure(UpstreamFailure::Reset, || "reset".into());
    live.note_failure(UpstreamFailure::Reset, || "reset".into());
    assert!(monitor.record_traffic(), "a probe should follow");
    assert!(!monitor.record_traffic(), "nothing new");
    live.note_success();
    assert_eq!(monitor.record(failed()).report.status, HealthStatus::Healthy);
}

#[test]
fn addresses_are_replaced_when_the_set_changed_only() {
    let monitor = monitor("web.internal:3000");
    let addresses = |list: [u8; 2]| list.map(|n| SocketAddr::from(([127, 0, 0, n], 0)));
    let published = || format!("{:?}", **monitor.node.live.endpoints());
    monitor.set_addresses(&addresses([1, 2]));
    assert_eq!(published(), "Tcp([127.0.0.1:3000, 127.0.0.2:3000])");
    monitor.record(Probe { address: Some("127.0.0.2:3000".parse().unwrap()), ..passed() });
    assert_eq!(published(), "Tcp([127.0.0.2:3000, 127.0.0.1:3000])", "what answered goes first");
    monitor.set_addresses(&addresses([1, 2]));
    assert_eq!(published(), "Tcp([127.0.0.2:3000, 127.0.0.1:3000])", "the same set");
    monitor.set_addresses(&addresses([1, 3]));
    assert_eq!(published(), "Tcp([127.0.0.1:3000, 127.0.0.3:3000])");
}
