//! Makes the requests of smoke tests: over the front that clients have, by a state of their own.
//!
//! Nobody else can come in there: the one connection of each request is the only one that is accepted. Its counters are
//! its own too, so that no figure of the server's traffic has these requests; those of the backend have.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::control::{SmokeNow, SmokeTry};
use crate::counters::Metrics;
use crate::model::{DomainName, MAX_SMOKE_BODY, SmokeAnswer, SmokeRequest, with_causes};
use crate::proxy::{self, Front, HostServices, ProxyOptions, Serve as _};
use crate::state::Reader;
use crate::telemetry::AccessLog;

/// How long an answer may take, where its request doesn't give it longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

const USER_AGENT_VALUE: HeaderValue =
    HeaderValue::from_static(concat!("vhost-smoke/", env!("CARGO_PKG_VERSION")));

/// Makes them on the threads that carry traffic. `is_https` says that clients come over HTTPS, and backends get to know
/// so.
pub(super) fn smoke(
    options: Arc<ArcSwap<ProxyOptions>>,
    hosts: HostServices,
    traffic: Handle,
    is_https: bool,
) -> SmokeNow {
    Arc::new(move |tries| {
        let options = ProxyOptions::clone(&options.load());
        let (hosts, traffic) = (hosts.clone(), traffic.clone());
        Box::pin(async move {
            let SmokeTry { stage, requests, deadline } = tries;
            // It reads the certificates of the system.
            let front = tokio::task::spawn_blocking(move || front(options, stage, hosts));
            let front = match front.await {
                Ok(front) => front,
                Err(error) => {
                    return vec![Some(format!("it cannot be tried: {error}")); requests.len()];
                }
            };
            let mut faults = Vec::new();
            for (host, request) in &requests {
                // How much too late it was is worth knowing.
                let most = request.expect.max_ms.map(Duration::from_millis).unwrap_or_default();
                let until = deadline.min(Instant::now() + most.max(ANSWER_TIMEOUT));
                let answer =
                    timeout_at(until.into(), ask(&front, &traffic, host, request, is_https));
                faults.push(match answer.await {
                    Ok(Ok(answer)) => request.expect.fault_of(&answer),
                    Ok(Err(error)) => Some(format!("there is no answer: {}", with_causes(&*error))),
                    Err(_) => Some("there is no answer in time".to_owned()),
                });
            }
            faults
        })
    })
}

fn front(mut options: ProxyOptions, stage: Reader, hosts: HostServices) -> Front {
    options.access_log = AccessLog::default();
    // Of a load balancer, which this is not; but what it says of the scheme is believed.
    (options.proxy_protocol, options.proxy_protocol_http) = (false, false);
    options.trusted_proxies = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
    options.client_ip_header = None;
    // A request may be meant to be answered so; the gate has looked at health.
    options.upstream.count_5xx = false;
    let options = Arc::new(ArcSwap::from_pointee(options));
    proxy::front(options, stage, Arc::new(Metrics::default()), None, hosts)
}

/// Makes one request over a connection of its own.
async fn ask(
    front: &Front,
    traffic: &Handle,
    host: &DomainName,
    request: &SmokeRequest,
    is_https: bool,
) -> Result<SmokeAnswer, Box<dyn std::error::Error + Send + Sync>> {
    let started = Instant::now();
    let (ours, theirs, peer) = pair().await?;
    // Dropped at the end, which ends the connection.
    let (_stop, stopped) = watch::channel(false);
    traffic.spawn(Arc::new(front.clone()).serve(theirs, peer, stopped));
    let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await?;
    tokio::spawn(connection);
    let body = Full::new(Bytes::from(request.body.clone().unwrap_or_default()));
    let mut made =
        Request::builder().method(request.method.as_str()).uri(&request.path).body(body)?;
    let headers = made.headers_mut();
    headers.insert(USER_AGENT, USER_AGENT_VALUE);
    for (name, value) in request.fields() {
        headers.insert(name, value);
    }
    headers.insert(HOST, host.to_string().parse()?);
    if is_https {
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    }
    let answer = sender.send_request(made).await?;
    let (head, mut rest) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = rest.frame().await {
        if let Ok(data) = frame?.into_data() {
            // The rest is read too: an answer has ended when all of it is there.
            let room = MAX_SMOKE_BODY - body.len();
            body.extend_from_slice(&data[..data.len().min(room)]);
        }
    }
    let took = started.elapsed();
    Ok(SmokeAnswer { status: head.status, headers: head.headers, body, took })
}

/// Both ends of a connection, and the address that it comes from.
async fn pair() -> io::Result<(TcpStream, TcpStream, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ours = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        let (theirs, peer) = listener.accept().await?;
        // Whoever else has come in between is sent away.
        if peer == ours.local_addr()? {
            return Ok((ours, theirs, peer));
        }
    }
}
