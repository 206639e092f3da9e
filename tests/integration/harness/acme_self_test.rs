//! The instruments for ACME, tried with a client of a page instead of the proxy.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use instant_acme::{
    Account, BodyWrapper, BytesResponse, ChallengeType, Error, ExternalAccountKey, HttpClient,
    Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

/// A name's owner: answers http-01, sets dns-01 by the hook.
struct Owner {
    server: RawBackend,
    key_authorizations: Arc<Mutex<HashMap<String, String>>>,
}

impl Owner {
    fn start() -> Self {
        let key_authorizations = Arc::new(Mutex::new(HashMap::new()));
        let answering: Arc<Mutex<HashMap<String, String>>> = Arc::clone(&key_authorizations);
        let server = RawBackend::start(move |connection| {
            while let Some(head) = connection.read_request() {
                let token = head.split([' ', '/']).find(|part| part.len() > 20);
                let known = answering.lock().unwrap_or_else(PoisonError::into_inner);
                let found = known.get(token.unwrap_or_default()).cloned();
                drop(known);
                connection.send(&answer(&found.unwrap_or_default()));
            }
        });
        Self { server, key_authorizations }
    }

    fn options(&self) -> PebbleOptions {
        let http = self.server.address();
        PebbleOptions::validating_at(http, (http.ip(), 1).into())
    }

    /// Gets a certificate: the chain and the key.
    async fn order(
        &self,
        account: &Account,
        name: &str,
        hook: Option<&DnsHook>,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let names = [Identifier::Dns(name.to_owned())];
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(text)?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(text)?;
            let kind = if hook.is_some() { ChallengeType::Dns01 } else { ChallengeType::Http01 };
            let mut challenge = authorization.challenge(kind).expect("it is offered");
            let secret = challenge.key_authorization();
            if let Some(hook) = hook {
                let name = format!("_acme-challenge.{}", name.trim_start_matches("*."));
                let status = std::process::Command::new(hook.path())
                    .args(["present", &name, &secret.dns_value()])
                    .status();
                assert!(status.expect("the hook runs").success());
            }
            self.key_authorizations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(challenge.token.clone(), secret.as_str().to_owned());
            challenge.set_ready().await.map_err(text)?;
        }
        let patience = RetryPolicy::new()
            .initial_delay(Duration::from_millis(50))
            .backoff(1.0)
            .timeout(Duration::from_secs(20));
        match order.poll_ready(&patience).await.map_err(text)? {
            OrderStatus::Ready => {}
            status => return Err(format!("{status:?}")),
        }
        let key = KeyPair::generate().expect("a key");
        let request = CertificateParams::new([name.to_owned()]).expect("a name");
        let request = request.serialize_request(&key).expect("a request");
        order.finalize_csr(request.der()).await.map_err(text)?;
        let chain = order.poll_certificate(&patience).await.map_err(text)?;
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
        Ok((chain, PrivateKeyDer::try_from(key.serialize_der()).expect("a key")))
    }
}

async fn register(pebble: &Pebble, eab: Option<&ExternalAccountKey>) -> Result<Account, String> {
    let root = std::fs::read_to_string(pebble.ca_root()).expect("the root is there");
    let http = ToCa { client: TlsClient::trusting(&root), address: pebble.address() };
    let new = NewAccount {
        contact: &["mailto:admin@example.com"],
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    Account::builder_with_http(Box::new(http))
        .create(&new, pebble.directory_url(), eab)
        .await
        .map(|(account, _)| account)
        .map_err(text)
}

/// Blocks for each request: here nothing else is to be done meanwhile.
struct ToCa {
    client: TlsClient,
    address: SocketAddr,
}

impl HttpClient for ToCa {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let connected = self.client.connect(self.address, Some("localhost"));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let kind = head.headers.get("content-type").map_or("", |kind| kind.to_str().unwrap());
            let text = format!(
                "{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: test\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
                head.method,
                head.uri.path(),
                head.uri.authority().expect("a host"),
                body.len(),
            );
            let mut client = connected.map_err(|error| Error::Other(error.into()))?;
            client.send(text);
            client.send(body);
            let answer =
                if head.method == "HEAD" { client.read_head() } else { client.try_read_response() };
            let answer = answer.map_err(|error| Error::Other(error.into()))?;
            let mut response = http::Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            let response = response.body(Full::new(Bytes::from(answer.body))).expect("a response");
            Ok(BytesResponse::from(response))
        })
    }
}

fn from_base64url(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.trim().bytes() {
        let six = ALPHABET.iter().position(|known| *known == letter).expect("base64url");
        bits = bits << 6 | u32::try_from(six).expect("it is below 64");
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("it is a byte"));
        }
    }
    bytes
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
fn text(error: Error) -> String {
    format!("{error:?}")
}

#[test]
fn pebble_looks_where_the_name_leads_and_its_root_trusts_what_it_signs() {
    let owner = Owner::start();
    let options = owner.options().strict().validity(Duration::from_hours(1));
    let pebble = Pebble::start(&options.authz_reuse(100));
    let (chain, key) = in_runtime(async {
        let account = register(&pebble, None).await.expect("an account");
        let issued = owner.order(&account, "shop.test", None).await.expect("a certificate");
        pebble.add_a("elsewhere.test", free_ip());
        owner.order(&account, "elsewhere.test", None).await.expect_err("nobody answers there");
        issued
    });
    assert_eq!((pebble.orders_made(), pebble.accounts_made()), (2, 1), "{}", pebble.log());
    assert_eq!(names_of(&chain), ["shop.test"]);
    assert_eq!(pebble.status_of(&serial_of(&chain)), "Valid");
    let backend = Backend::builder("self").tls(tls_server(chain, key, &["http/1.1"])).start();
    let client = pebble.trusting_client();
    client.connect(backend.socket_addr(), Some("shop.test")).expect("it is trusted");
    client.connect(backend.socket_addr(), Some("other.test")).err().expect("another name");
}

#[test]
fn pebble_refuses_as_it_is_told() {
    let owner = Owner::start();
    let options = owner.options().nonce_reject(10).blocked("blocked.test").eab();
    let pebble = Pebble::start(&options.validation_sleep(Duration::from_secs(1)));
    in_runtime(async {
        let refused = register(&pebble, None).await.map(drop).expect_err("no binding");
        assert!(refused.contains("externalAccountRequired"), "{refused}");
        let key = std::fs::read_to_string(pebble.eab_key_file()).expect("the key is there");
        let binding = ExternalAccountKey::new(Pebble::eab_kid().to_owned(), &from_base64url(&key));
        let account = register(&pebble, Some(&binding)).await.expect("an account");
        let refused = owner.order(&account, "blocked.test", None).await.expect_err("blocked");
        assert!(refused.contains("rejectedIdentifier"), "{refused}");
        pebble.set_servfail("broken.test");
        owner.order(&account, "broken.test", None).await.expect_err("its DNS fails");
    });
}

#[test]
fn the_hook_proves_a_wildcard() {
    let owner = Owner::start();
    let pebble = Pebble::start(&owner.options());
    let hook = DnsHook::new(&pebble);
    pebble.set_txt("_acme-challenge.shop.test", "one more beside it");
    in_runtime(async {
        let account = register(&pebble, None).await.expect("an account");
        let (chain, _) =
            owner.order(&account, "*.shop.test", Some(&hook)).await.expect("a certificate");
        assert_eq!(names_of(&chain), ["*.shop.test"]);
    });
    let status = std::process::Command::new(hook.path())
        .args(["cleanup", "_acme-challenge.shop.test", "x"])
        .status();
    assert!(status.expect("the hook runs").success());
    let calls = hook.calls();
    assert!(calls[0].starts_with("present _acme-challenge.shop.test "), "{calls:?}");
    assert_eq!(calls[1], "cleanup _acme-challenge.shop.test x");
}

#[test]
fn pebble_stops_pauses_and_starts_again_as_somebody_else() {
    let mut pebble = Pebble::start(&PebbleOptions::validating(&Setup::new()));
    let root = std::fs::read_to_string(pebble.ca_root()).expect("the root is there");
    let client = TlsClient::trusting(&root);
    let ask =
        || client.connect(pebble.address(), Some("localhost")).unwrap().get("localhost", "/dir");
    assert!(ask().text().contains("newOrder"));
    let stranger = TlsClient::trusting(&Authority::new().pem());
    stranger.connect(pebble.address(), Some("localhost")).err().expect("it is not trusted");

    let socket = std::net::TcpStream::connect(pebble.address()).expect("it accepts");
    pebble.pause();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut paused = std::net::TcpStream::connect(pebble.address()).expect("the kernel accepts");
    paused.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    std::io::Write::write_all(&mut paused, b"no TLS").unwrap();
    let read = std::io::Read::read(&mut paused, &mut [0]);
    assert_eq!(read.expect_err("it is still").kind(), std::io::ErrorKind::WouldBlock);
    pebble.resume();
    assert_eq!(ask().status, 200);

    let first = pebble.issuing_root();
    pebble.stop();
    client.connect(pebble.address(), None).err().expect("nobody listens");
    pebble.restart();
    assert_ne!(pebble.issuing_root(), first);
    pebble.clear_a("shop.test");
    assert_eq!(pebble.orders_made(), 0);
}

#[test]
fn a_setup_names_its_ca() {
    let setup = Setup::new();
    assert_eq!(setup.http_address().ip(), setup.https_address().ip());
    let pebble = Pebble::start(&PebbleOptions::validating(&setup));
    let hook = DnsHook::new(&pebble);
    let text = setup
        .acme(&pebble)
        .eab(&pebble)
        .challenges(&["dns-01"])
        .dns_hook(&hook)
        .text(std::path::Path::new("/nowhere"));
    let table: toml::Table = text.parse().expect("TOML");
    let section = &table["lets_encrypt"];
    assert_eq!(section["directory_url"].as_str(), Some(pebble.directory_url().as_str()));
    assert_eq!(section["challenges"][0].as_str(), Some("dns-01"));
    assert!(section["dns_hook"].as_str().is_some_and(|path| std::path::Path::new(path).exists()));
    assert_eq!(section["eab_kid"].as_str(), Some("kid-1"));
}

#[test]
fn the_ask_server_allows_what_is_on_its_list() {
    let ask = AskServer::start(&["shop.test"]);
    let address = ask.url().split('/').nth(2).unwrap().parse().unwrap();
    let mut client = Client::connect(address);
    assert_eq!(client.get("ask", "/may?domain=shop.test").status, 200);
    assert_eq!(client.get("ask", "/may?x=1&domain=other.test").status, 403);
    assert_eq!(ask.asked(), ["shop.test", "other.test"]);
    assert_eq!(ask.asked_about("shop.test"), 1);
}
