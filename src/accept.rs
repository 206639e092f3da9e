//! Accepts connections, also after it has failed: for want of file descriptors, say.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::places::{ClientKey, Places};

/// How long nothing is accepted after a failure; twice as long after each further one, up to
/// [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(10);

const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often failures are logged, which a client can cause as often as it likes.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Turns to true when nothing more is to be accepted.
pub(crate) type Closing = watch::Receiver<bool>;

/// What a listener has to remember of its failures.
#[derive(Debug)]
pub(crate) struct Accepting {
    /// What is served there, for the log.
    service: &'static str,
    wait: Duration,
    /// Since the last line of the log.
    failures: u64,
    logged: Option<Instant>,
}

impl Accepting {
    pub(crate) fn new(service: &'static str) -> Self {
        Self { service, wait: FIRST_WAIT, failures: 0, logged: None }
    }

    /// The next connection.
    pub(crate) async fn next<T, A>(&mut self, accept: impl Fn() -> A) -> T
    where
        A: Future<Output = io::Result<T>>,
    {
        loop {
            match accept().await {
                Ok(accepted) => {
                    self.wait = FIRST_WAIT;
                    return accepted;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    self.log(&error);
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    fn log(&mut self, error: &io::Error) {
        self.failures += 1;
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            let (service, failures) = (self.service, self.failures);
            tracing::warn!(%error, reason = "accept", service, failures, "cannot accept connections");
            self.logged = Some(Instant::now());
            self.failures = 0;
        }
    }
}

/// Accepts until `closing` says so; connections go on on their own.
pub(crate) async fn until_closed(mut closing: Closing, accepting: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        // Whoever could say so is gone: nobody ever will.
        Ok(_) = closing.wait_for(|closing| *closing) => {}
        () = accepting => {}
    }
}

/// Serves `most` connections at once. Where there is another, one of the client that has the most of them
/// is closed.
pub(crate) async fn serve_at_most<F>(
    most: usize,
    listener: TcpListener,
    service: &'static str,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (places, mut accepting) = (Places::default(), Accepting::new(service));
    loop {
        let (stream, client) = accepting.next(|| listener.accept()).await;
        let mut place = places.enter(ClientKey::of(client.ip()), most);
        let served = serve(stream, client);
        tokio::spawn(async move {
            tokio::select! {
                () = served => {}
                () = place.lost() => {
                    let (client_ip, reason) = (client.ip().to_canonical(), "too many connections");
                    tracing::info!(%client_ip, reason, service, "connection closed");
                }
            }
        });
    }
}

/// Whether a connection has failed before it was accepted, and the next one may not. Linux reports the
/// errors of its network here too (accept(2)).
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
        NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
    ) || error.raw_os_error() == Some(nix::libc::EPROTO)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use nix::errno::Errno;

    use super::*;

    /// How long it takes until a connection is accepted after these failures.
    async fn after(failures: &[Errno]) -> Duration {
        let (started, next) = (Instant::now(), Cell::new(0));
        let accept = || {
            let failure = failures.get(next.replace(next.get() + 1));
            std::future::ready(failure.map_or(Ok(()), |errno| Err((*errno).into())))
        };
        Accepting::new("test").next(accept).await;
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_longer_and_longer_where_nothing_can_be_accepted() {
        assert_eq!(after(&[]).await, Duration::ZERO);
        assert_eq!(after(&[Errno::EMFILE]).await, Duration::from_millis(10));
        assert_eq!(after(&[Errno::ENFILE; 3]).await, Duration::from_millis(70));
        assert_eq!(after(&[Errno::ENOMEM; 9]).await, Duration::from_millis(3270));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_fails_delays_no_other() {
        let failures = [Errno::ECONNABORTED, Errno::EPROTO, Errno::ENETDOWN, Errno::EINTR];
        assert_eq!(after(&failures).await, Duration::ZERO);
    }
}
