//! Who may come in, and what they may do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::problem::Problem;
use super::routes::HEALTH;
use crate::model::{Access, Actor, DomainName, ForeignHost, check_own_host};
use crate::rpc::envelope::FaultKind;
use crate::tokens::Tokens;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// A process at the admin socket, which has been let in.
    Socket(Actor),
    /// Somebody at the management address.
    Tcp {
        /// Where they come from.
        client: SocketAddr,
        /// The address that they came to.
        own: IpAddr,
    },
}

/// What requests are held against.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) tokens: Tokens,
    /// The names by which the API may be called, beside its address and `localhost`.
    pub(super) hosts: Arc<[DomainName]>,
}

/// Lets a request through with who makes it, or says why not, also to the log.
pub(super) async fn admit(
    State(guard): State<Guard>,
    mut request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().cloned();
    let admitted = match peer {
        Some(Peer::Socket(actor)) => Ok(Some(actor)),
        Some(Peer::Tcp { client, own }) => guard.check(&request, own).inspect_err(|refused| {
            tracing::warn!(
                client_ip = %client.ip().to_canonical(),
                method = %request.method(),
                path = request.uri().path(),
                status = refused.status().as_u16(),
                reason = refused.detail(),
                "refused at the management API"
            );
        }),
        None => Err(Problem::internal()),
    };
    match admitted {
        Ok(actor) => {
            if let Some(actor) = actor {
                request.extensions_mut().insert(actor);
            }
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

impl Guard {
    /// Who makes a request over TCP; `None` where no token is needed.
    fn check(&self, request: &Request, own: IpAddr) -> Result<Option<Actor>, Problem> {
        let (headers, uri) = (request.headers(), request.uri());
        if headers.contains_key(ORIGIN) {
            // Only browsers send it, and no page of ours asks anything here.
            let refused = denied("requests of web pages are refused: there is an `Origin`");
            return Err(refused.hint("leave the header out; browsers alone add it"));
        }
        self.check_host(headers, uri, own)?;
        let looks = matches!(*request.method(), Method::GET | Method::HEAD);
        if looks && uri.path() == HEALTH {
            return Ok(None);
        }
        let holder = self.tokens.holder(bearer(headers)?);
        let holder = holder.ok_or_else(|| unauthorized("the token is not one of this server's"))?;
        if holder.access != Access::Full && !looks {
            let refused = denied(format!("the token `{}` may only look", holder.name));
            return Err(refused.hint("use one that was added without `--read`"));
        }
        Ok(Some(Actor::Token { name: holder.name }))
    }

    /// A name that somebody else's DNS may lead here lets a web page in (DNS rebinding): the host must be
    /// one that is ours.
    fn check_host(&self, headers: &HeaderMap, uri: &Uri, own: IpAddr) -> Result<(), Problem> {
        check_own_host(headers, uri, own, &self.hosts).map_err(|foreign| match foreign {
            ForeignHost::NotOne => {
                let status = StatusCode::BAD_REQUEST;
                Problem::new(status, FaultKind::Invalid, "there is not one `Host`")
            }
            ForeignHost::Foreign => denied("the `Host` is not a name of this API").hint(
                "call it by its address or `localhost`, or add the name to \
                 `proxy.management_api_hosts`",
            ),
        })
    }
}

/// Completes when the token that a request came with is no token any more; never for one that came with
/// none, at the admin socket.
pub(super) fn revoked(
    tokens: &Tokens,
    head: &Parts,
) -> impl Future<Output = ()> + Send + 'static + use<> {
    let is_tcp = matches!(head.extensions.get::<Peer>(), Some(Peer::Tcp { .. }));
    let secret = is_tcp.then(|| bearer(&head.headers).unwrap_or_default().to_owned());
    let tokens = tokens.clone();
    async move {
        match secret {
            Some(secret) => tokens.revoked(secret).await,
            None => std::future::pending().await,
        }
    }
}

/// The token of a request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| unauthorized("there is no token"))?;
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let (scheme, token) = text.and_then(|text| text.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(token.trim())
    } else {
        Err(unauthorized("there is no bearer token in `Authorization`"))
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, FaultKind::Denied, detail)
        .hint("send `Authorization: Bearer TOKEN`; `vhost ctl token show` prints it")
}

fn denied(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, FaultKind::Denied, detail)
}
