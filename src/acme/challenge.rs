//! The pending challenges: what the proxy answers when a CA checks them.
//!
//! Read for every request below `/.well-known/acme-challenge/` and every handshake that asks for
//! `acme-tls/1`, so reading takes no lock. Written a few times for each order.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::order_file::Answer;

/// The ALPN protocol of a TLS-ALPN-01 handshake (RFC 8737 §6.2).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// The challenges that are pending. A clone shares them.
#[derive(Clone, Default)]
pub(crate) struct Challenges(Arc<Inner>);

#[derive(Default)]
struct Inner {
    pending: ArcSwap<Pending>,
    next: AtomicU64,
}

/// By host, the newest last: two CAs may check one name at once. Each with its id.
type ByHost<T> = HashMap<Arc<str>, Vec<(u64, T)>>;

#[derive(Clone, Default)]
struct Pending {
    http01: ByHost<Http01>,
    tls_alpn01: ByHost<Arc<ServerConfig>>,
}

#[derive(Clone)]
struct Http01 {
    token: Arc<str>,
    key_authorization: Arc<str>,
}

impl Challenges {
    /// The key authorization that answers a request for `token` at `host`, a normalised name.
    pub(crate) fn http01(&self, host: &str, token: &str) -> Option<Arc<str>> {
        let pending = self.0.pending.load();
        let (_, found) = pending.http01.get(host)?.iter().find(|(_, one)| &*one.token == token)?;
        Some(Arc::clone(&found.key_authorization))
    }

    /// The configuration for a handshake that offers only `acme-tls/1` at `host`: that protocol and
    /// the challenge's certificate. For an IP address the host is its reverse name, such as
    /// `1.0.0.127.in-addr.arpa` (RFC 8738 §6).
    pub(crate) fn tls_alpn01(&self, host: &str) -> Option<Arc<ServerConfig>> {
        let pending = self.0.pending.load();
        let (_, config) = pending.tls_alpn01.get(host)?.last()?;
        Some(Arc::clone(config))
    }

    /// Whether nothing is pending.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let pending = self.0.pending.load();
        pending.http01.is_empty() && pending.tls_alpn01.is_empty()
    }

    /// Answers a challenge until the returned guard is dropped; DNS records are set elsewhere.
    ///
    /// # Errors
    /// When no certificate can be made for it.
    pub(super) fn post(&self, answer: &Answer) -> Result<Option<Posted>, String> {
        match answer {
            Answer::Http01 { host, token, key_authorization } => {
                Ok(Some(self.add_http01(host, token, key_authorization)))
            }
            Answer::TlsAlpn01 { name, digest } => {
                let config = tls_alpn01_config(name, digest)?;
                Ok(Some(self.add_tls_alpn01(&server_name(name), config)))
            }
            Answer::Dns01 { .. } | Answer::DnsPersist01 => Ok(None),
        }
    }

    /// Answers for `token` at `host` until the returned guard is dropped.
    pub(crate) fn add_http01(&self, host: &str, token: &str, key_authorization: &str) -> Posted {
        let one = Http01 { token: token.into(), key_authorization: key_authorization.into() };
        self.add(host, |pending| &mut pending.http01, one)
    }

    /// Answers for `host` with `config` until the returned guard is dropped.
    pub(crate) fn add_tls_alpn01(&self, host: &str, config: Arc<ServerConfig>) -> Posted {
        self.add(host, |pending| &mut pending.tls_alpn01, config)
    }

    fn add<T: Clone>(
        &self,
        host: &str,
        to: impl Fn(&mut Pending) -> &mut ByHost<T>,
        one: T,
    ) -> Posted {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let host: Arc<str> = host.into();
        self.change(|pending| {
            to(pending).entry(Arc::clone(&host)).or_default().push((id, one.clone()));
        });
        Posted { challenges: self.clone(), host, id }
    }

    fn remove(&self, host: &str, id: u64) {
        fn remove<T>(from: &mut ByHost<T>, host: &str, id: u64) {
            let Some(all) = from.get_mut(host) else { return };
            all.retain(|(one, _)| *one != id);
            if all.is_empty() {
                from.remove(host);
            }
        }
        self.change(|pending| {
            remove(&mut pending.http01, host, id);
            remove(&mut pending.tls_alpn01, host, id);
        });
    }

    fn change(&self, change: impl Fn(&mut Pending)) {
        self.0.pending.rcu(|pending| {
            let mut pending = Pending::clone(pending);
            change(&mut pending);
            pending
        });
    }
}

impl fmt::Debug for Challenges {
    /// Tokens and keys stay secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.0.pending.load();
        f.debug_struct("Challenges")
            .field("http01", &pending.http01.len())
            .field("tls_alpn01", &pending.tls_alpn01.len())
            .finish()
    }
}

/// Guard: the challenge is answered until this is dropped.
#[must_use]
pub(crate) struct Posted {
    challenges: Challenges,
    host: Arc<str>,
    id: u64,
}

impl Drop for Posted {
    fn drop(&mut self) {
        self.challenges.remove(&self.host, self.id);
    }
}

/// The configuration that proves `name`, a host name or an IP address without brackets, by a
/// certificate that contains `digest` (RFC 8737 §3).
///
/// # Errors
/// When no certificate can be made for the name.
pub(crate) fn tls_alpn01_config(name: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let words = |error: rcgen::Error| error.to_string();
    let key = rcgen::KeyPair::generate().map_err(words)?;
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).map_err(words)?;
    params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key).map_err(words)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = ring::sign::any_supported_type(&key).map_err(|error| error.to_string())?;
    // Not `from_der`: webpki would refuse the critical extension.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    Ok(Arc::new(config))
}

/// The server name in the `ClientHello` of a tls-alpn-01 check: for an address, its reverse name (RFC
/// 8738 §6).
fn server_name(name: &str) -> String {
    use std::fmt::Write as _;
    use std::net::IpAddr;
    match name.parse::<IpAddr>() {
        Err(_) => name.to_owned(),
        Ok(IpAddr::V4(ip)) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(ip)) => {
            let mut reverse = String::with_capacity(72);
            for byte in ip.octets().iter().rev() {
                let _ = write!(reverse, "{:x}.{:x}.", byte & 0xf, byte >> 4);
            }
            reverse + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_looked_for_by_their_reverse_names() {
        assert_eq!(server_name("a.test"), "a.test");
        assert_eq!(server_name("127.0.0.1"), "1.0.0.127.in-addr.arpa");
        let reverse = server_name("2001:db8::1");
        assert!(
            reverse.starts_with("1.0.0.0.0.0.0.0.")
                && reverse.ends_with("8.b.d.0.1.0.0.2.ip6.arpa")
        );
        assert_eq!(reverse.len(), 72);
    }

    #[test]
    fn a_token_is_answered_at_its_host_while_it_is_posted() {
        let challenges = Challenges::default();
        assert!(challenges.is_empty());
        let one = challenges.add_http01("a.test", "token", "token.key");
        let twice = challenges.clone().add_http01("a.test", "token", "token.key");
        let other = challenges.add_http01("b.test", "other", "other.key");
        assert_eq!(challenges.http01("a.test", "token").as_deref(), Some("token.key"));
        assert_eq!(challenges.http01("b.test", "token"), None);
        assert_eq!(challenges.http01("a.test", "other"), None);
        drop(one);
        assert!(challenges.http01("a.test", "token").is_some(), "the other still wants it");
        drop((twice, other));
        assert!(challenges.is_empty());
    }

    #[test]
    fn a_challenge_certificate_speaks_nothing_else() {
        let challenges = Challenges::default();
        let digest = [7; 32];
        let old = tls_alpn01_config("a.test", &[1; 32]).unwrap();
        let config = tls_alpn01_config("a.test", &digest).unwrap();
        let first = challenges.add_tls_alpn01("a.test", old);
        let second = challenges.add_tls_alpn01("a.test", Arc::clone(&config));
        let found = challenges.tls_alpn01("a.test").unwrap();
        assert!(Arc::ptr_eq(&found, &config), "the newest");
        assert_eq!(found.alpn_protocols, [ACME_TLS]);
        assert!(challenges.tls_alpn01("b.test").is_none());
        drop((first, second));
        assert!(challenges.is_empty());
        assert!(tls_alpn01_config("127.0.0.1", &digest).is_ok());
        assert!(tls_alpn01_config("::1", &digest).is_ok());
    }

    #[test]
    fn many_may_write_at_once() {
        let challenges = Challenges::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let challenges = &challenges;
                scope.spawn(move || {
                    for n in 0..100 {
                        let host = format!("{thread}.{n}.test");
                        let posted = challenges.add_http01(&host, "t", "k");
                        assert!(challenges.http01(&host, "t").is_some());
                        drop(posted);
                        assert!(challenges.http01(&host, "t").is_none());
                    }
                });
            }
        });
        assert!(challenges.is_empty());
    }

    #[test]
    fn nothing_secret_is_in_debug() {
        let challenges = Challenges::default();
        let _posted = challenges.add_http01("a.test", "token", "secret");
        assert_eq!(format!("{challenges:?}"), "Challenges { http01: 1, tls_alpn01: 0 }");
    }
}
