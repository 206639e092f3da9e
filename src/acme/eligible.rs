//! Which names a CA can be asked for, and how they can be proven.

use super::bundle;
use super::context::CaContext;
use super::error::AcmeError;
use crate::model::{ChallengeKind, DomainName, Pattern};

impl CaContext {
    pub(super) fn can_sign(&self, name: &DomainName) -> Result<(), AcmeError> {
        if name.pattern() == Pattern::Default {
            return Err(AcmeError::blocked("a CA cannot sign `*`")
                .with_hint("declare the names, or turn on certificates on demand"));
        }
        if self.is_public() {
            name.never_public().map_or(Ok(()), |why| {
                Err(AcmeError::blocked(format!("no public CA signs {why}")))
            })?;
        }
        if self.usable(name).is_empty() { Err(self.no_way(name)) } else { Ok(()) }
    }

    /// The challenges that can prove a name from here, in the order in which they are tried.
    pub(super) fn usable(&self, name: &DomainName) -> Vec<ChallengeKind> {
        let wildcard = matches!(name.pattern(), Pattern::Wildcard(_));
        let address = bundle::ip(name).is_some();
        let usable = |kind: &ChallengeKind| match kind {
            ChallengeKind::Http01 => !wildcard && self.listeners.http,
            ChallengeKind::TlsAlpn01 => !wildcard && self.listeners.tls,
            ChallengeKind::Dns01 => !address && self.dns_hook.is_some(),
            ChallengeKind::DnsPersist01 => !address,
        };
        self.issuer.challenges.iter().copied().filter(usable).collect()
    }

    fn no_way(&self, name: &DomainName) -> AcmeError {
        let allowed: Vec<_> = self.issuer.challenges.iter().map(|kind| kind.as_str()).collect();
        let words = format!("none of the challenges {} can prove `{name}`", allowed.join(", "));
        let hint = if matches!(name.pattern(), Pattern::Wildcard(_)) {
            "a wildcard needs a proof by DNS: set `dns_hook` and add `dns-01` to `challenges`, or set the \
             TXT record that `vhost ctl cert account` shows and add `dns-persist-01`"
        } else {
            "http-01 needs `listen_addr_http`, tls-alpn-01 `listen_addr`, and dns-01 a `dns_hook`"
        };
        AcmeError::blocked(words).with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::acme::testing::{ca, issuer};
    use crate::acme::{Ca, ErrorKind, Listeners};

    const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
    const BOTH: Listeners = Listeners { http: true, tls: true };

    fn can_sign(ca: &Ca, name: &str) -> Result<(), String> {
        ca.can_sign(&name.parse().unwrap()).map_err(|error| {
            assert_eq!(error.kind(), ErrorKind::Blocked);
            error.to_string()
        })
    }

    #[test]
    fn a_public_ca_signs_what_the_public_can_reach() {
        let ca = ca(issuer(LETS_ENCRYPT), None, BOTH, Path::new("/nowhere"));
        assert!(ca.is_public() && !ca.is_staging());
        for name in ["example.com", "a.b.example.org", "8.8.8.8", "[2606:4700::1111]"] {
            assert_eq!(can_sign(&ca, name), Ok(()), "{name}");
        }
        for name in [
            "*",
            "localhost",
            "web",
            "a.test",
            "a.local",
            "x.home.arpa",
            "a_b.example.com",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "[::1]",
            "[fd00::1]",
            "[2001:db8::1]",
        ] {
            assert!(can_sign(&ca, name).is_err(), "{name}");
        }
        assert_eq!(can_sign(&ca, "latest.org"), Ok(()), "not below `test`");
    }

    #[test]
    fn a_name_needs_a_challenge_that_can_be_answered() {
        let issuer = || issuer("https://ca.internal/dir");
        let root = Path::new("/nowhere");
        let neither = ca(issuer(), None, Listeners { http: false, tls: false }, root);
        assert!(can_sign(&neither, "a.test").unwrap_err().contains("can prove `a.test`"));
        let http = ca(issuer(), None, Listeners { http: true, tls: false }, root);
        assert_eq!(can_sign(&http, "a.test"), Ok(()));
        let wildcard = http.can_sign(&"*.a.test".parse().unwrap()).unwrap_err();
        assert!(wildcard.hint().unwrap().contains("dns_hook"), "{wildcard}");
        let dns = ca(issuer(), Some("/bin/hook".into()), BOTH, root);
        assert_eq!(can_sign(&dns, "*.a.test"), Ok(()));
    }
}
