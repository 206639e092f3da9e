//! Proves names to a CA: chooses challenges, posts the answers, and finds out why they failed.

use std::time::Duration;

use instant_acme::{
    AuthorizationStatus, ChallengeHandle, ChallengeStatus, ChallengeType, Identifier, Order,
};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::account::Session;
use super::bundle;
use super::context::CaContext;
use super::dns;
use super::error::{AcmeError, ErrorKind};
use super::order::{OrderRequest, OrderRun, fetch_authorizations, retried};
use super::order_file::Answer;
use crate::model::{ChallengeKind, DomainName};

impl CaContext {
    /// Answers a challenge for each pending authorization, and asks the CA to check. Returns the
    /// challenge that was used, if any.
    pub(super) async fn prove(
        &self,
        session: &Session,
        run: &mut OrderRun,
        request: &OrderRequest,
        step: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Option<ChallengeKind>, AcmeError> {
        let mut used = None;
        let fetched = retried!(fetch_authorizations(&mut run.order));
        fetched.map_err(|error| session.error(error))?;
        self.keep_issuer_domain(&session.seen).await;
        let mut authorizations = run.order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| session.error(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let identifier = authorization.identifier().identifier.clone();
            let offered: Vec<_> =
                authorization.challenges.iter().map(|c| c.r#type.clone()).collect();
            let kind = self.choose(request, &run.file.answers, &offered)?;
            let Some(mut challenge) = authorization.challenge(acme_type(kind)) else { continue };
            used = Some(kind);
            step(&format!("answering {kind}"));
            let answer = answer(kind, &identifier, &challenge)?;
            if !run.file.answers.contains(&answer) {
                run.file.answers.push(answer.clone());
                // Saved before the CA is asked to check: by then another process may be running.
                self.keep_order(&run.file).await?;
            }
            self.keep_answering(&request.name, &answer).map_err(AcmeError::transient)?;
            if let (Answer::Dns01 { fqdn, value }, Some(hook)) = (&answer, &self.dns_hook) {
                dns::run(hook, "present", fqdn, value)
                    .await
                    .map_err(|error| error.with_challenge(Some(kind)))?;
            }
            debug!(name = %request.name, challenge = %kind, token = challenge.token, "ready");
            if challenge.status != ChallengeStatus::Pending {
                continue;
            }
            let asked = retried!(challenge.set_ready());
            match asked.map_err(|error| session.error(error).with_challenge(Some(kind))) {
                // The CA was already asked, by the process that began the order.
                Err(error) if run.resumed && error.is("malformed") => {}
                asked => asked?,
            }
        }
        Ok(used)
    }

    /// The challenge to use of those that are offered.
    fn choose(
        &self,
        request: &OrderRequest,
        begun: &[Answer],
        offered: &[ChallengeType],
    ) -> Result<ChallengeKind, AcmeError> {
        let usable = self.usable(&request.name);
        let begun = begun.iter().map(Answer::kind).find(|kind| usable.contains(kind));
        let mut kinds = preferred(usable, begun.or(request.prefer), request.avoid).into_iter();
        kinds.find(|kind| offered.contains(&acme_type(*kind))).ok_or_else(|| {
            let offered: Vec<_> = offered.iter().map(type_name).collect();
            AcmeError::blocked(format!(
                "the CA accepts only {1} as a proof for `{0}`, and none of them can be used here",
                request.name,
                offered.join(" or ")
            ))
            .with_hint("see `challenges`, `dns_hook` and the addresses of the listeners")
        })
    }

    /// Removes DNS records. A failure is only logged: the next order works all the same.
    pub(super) async fn clean_up(&self, name: &DomainName, answers: &[Answer]) {
        for answer in answers {
            let (Answer::Dns01 { fqdn, value }, Some(hook)) = (answer, &self.dns_hook) else {
                continue;
            };
            if let Err(error) = dns::run(hook, "cleanup", fqdn, value).await {
                warn!(%name, %error, "a DNS record was not removed");
            }
        }
    }
}

/// Why an order failed, from its authorizations; pending ones are given up. `otherwise` is used if
/// they have no error, with the challenge.
pub(super) async fn why(order: &mut Order, name: &DomainName, otherwise: AcmeError) -> AcmeError {
    let mut errors = Vec::new();
    // As far as it can be found out: the failure itself must be reported. The loop below skips one
    // that can't be fetched.
    let _ = retried!(fetch_authorizations(order));
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { continue };
        if retried!(authorization.refresh()).is_err() {
            continue;
        }
        for challenge in &authorization.challenges {
            let Some(problem) = &challenge.error else { continue };
            let error = AcmeError::of_problem(problem).at_the_challenge();
            errors.push((authorization.identifier().to_string(), error, kind_of(challenge)));
        }
        if authorization.status == AuthorizationStatus::Pending {
            let _ = retried!(authorization.deactivate());
        }
    }
    let challenge = errors.iter().find_map(|(_, _, kind)| *kind).or(otherwise.challenge());
    let several = errors.len() > 1;
    let errors = errors.into_iter();
    let errors = errors.map(|(of, error, _)| if several { error.about(&of) } else { error });
    let error = AcmeError::joined(errors.collect()).unwrap_or(otherwise);
    with_addresses(error.with_challenge(challenge), name).await
}

/// The order in which challenges are tried.
fn preferred(
    mut kinds: Vec<ChallengeKind>,
    first: Option<ChallengeKind>,
    last: Option<ChallengeKind>,
) -> Vec<ChallengeKind> {
    // Stable, so that the operator's order holds for the rest.
    kinds.sort_by_key(|kind| match Some(*kind) {
        kind if kind == first && kind != last => 0,
        kind if kind == last => 2,
        _ => 1,
    });
    kinds
}

fn answer(
    kind: ChallengeKind,
    identifier: &Identifier,
    challenge: &ChallengeHandle<'_>,
) -> Result<Answer, AcmeError> {
    let name = match identifier {
        Identifier::Dns(name) => name.to_ascii_lowercase(),
        Identifier::Ip(ip) => ip.to_string(),
        _ => {
            return Err(AcmeError::blocked(
                "the CA asks for a proof of a name that was not ordered",
            ));
        }
    };
    let key_authorization = challenge.key_authorization();
    Ok(match kind {
        ChallengeKind::Http01 => Answer::Http01 {
            // As a request's host is normalised.
            host: if name.contains(':') { format!("[{name}]") } else { name },
            token: challenge.token.clone(),
            key_authorization: key_authorization.as_str().to_owned(),
        },
        ChallengeKind::TlsAlpn01 => {
            Answer::TlsAlpn01 { name, digest: key_authorization.digest().as_ref().to_vec() }
        }
        ChallengeKind::Dns01 => Answer::Dns01 {
            fqdn: format!("_acme-challenge.{name}"),
            value: key_authorization.dns_value(),
        },
        ChallengeKind::DnsPersist01 => Answer::DnsPersist01,
    })
}

fn acme_type(kind: ChallengeKind) -> ChallengeType {
    match kind {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
        ChallengeKind::Dns01 => ChallengeType::Dns01,
        ChallengeKind::DnsPersist01 => ChallengeType::Unknown(kind.as_str().to_owned()),
    }
}

fn kind_of(challenge: &instant_acme::Challenge) -> Option<ChallengeKind> {
    ChallengeKind::ALL.into_iter().find(|kind| acme_type(*kind) == challenge.r#type)
}

fn type_name(of: &ChallengeType) -> String {
    match of {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::Unknown(name) => name.clone(),
        _ => "something else".to_owned(),
    }
}

/// Adds what the name resolves to here, which is the first thing to check.
async fn with_addresses(error: AcmeError, name: &DomainName) -> AcmeError {
    if error.kind() != ErrorKind::Validation || error.is("caa") {
        return error;
    }
    let port = match error.challenge() {
        Some(ChallengeKind::Dns01) => {
            return error.with_hint(
                "the TXT record must be visible at all name servers of the zone when the `dns_hook` \
                 ends",
            );
        }
        Some(ChallengeKind::DnsPersist01) => {
            return error.with_hint(format!(
                "set the TXT record that `vhost ctl cert account` shows at `_validation-persist.{}`",
                name.to_string().trim_start_matches("*.")
            ));
        }
        Some(ChallengeKind::TlsAlpn01) => 443,
        Some(ChallengeKind::Http01) | None => 80,
    };
    let host = bundle::plain(name);
    let found =
        timeout(Duration::from_secs(3), tokio::net::lookup_host((host.as_str(), port))).await;
    let mut addresses: Vec<_> =
        found.into_iter().flatten().flatten().map(|address| address.ip().to_string()).collect();
    addresses.dedup();
    let leads = match addresses.as_slice() {
        _ if bundle::ip(name).is_some() => format!("`{host}` must lead here"),
        [] => format!("`{host}` does not resolve here: it needs an A or AAAA record"),
        all => format!("`{host}` resolves to {} here", all.join(", ")),
    };
    error.with_hint(format!(
        "{leads}; the CA must reach port {port} of this server there from the internet"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_comes_last_and_what_worked_first() {
        use ChallengeKind::{Dns01, Http01, TlsAlpn01};
        let all = vec![TlsAlpn01, Http01, Dns01];
        let order = |first, last| preferred(all.clone(), first, last);
        assert_eq!(order(None, None), all);
        assert_eq!(order(Some(Http01), None), [Http01, TlsAlpn01, Dns01]);
        assert_eq!(order(None, Some(TlsAlpn01)), [Http01, Dns01, TlsAlpn01]);
        assert_eq!(order(Some(Dns01), Some(TlsAlpn01)), [Dns01, Http01, TlsAlpn01]);
        assert_eq!(order(Some(Dns01), Some(Dns01)), [TlsAlpn01, Http01, Dns01]);
        assert_eq!(preferred(vec![Http01], None, Some(Http01)), [Http01], "there is no other");
    }
}
