//! Variables of requests: what headers that an operator writes can say of each.

use super::{listed, nearest, worded};

/// Declares them: each with its name and what it stands for.
macro_rules! variables {
    ($($variant:ident $name:literal $meaning:literal,)+) => {
        worded! {
            /// A variable of requests. `${client_ip}` in the value of a header stands for what it is then.
            pub enum RequestVariable {
                $(#[doc = $meaning] $variant $name,)+
            }
        }

        impl RequestVariable {
            /// What it stands for.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }
        }
    };
}

variables! {
    ClientIp "client_ip"
        "the address of [the client](http.md#who-the-client-is); none if nobody can say who that is",
    PeerIp "peer_ip" "the address at the other end of the connection",
    RequestId "request_id"
        "the `X-Request-Id`: the client's, or one that `vhost` made. The access log has the same",
    TraceId "trace_id" "the trace of the client's `traceparent`, if that is valid",
    Scheme "scheme" "`https` if the client came over TLS, or a trusted proxy says so; otherwise `http`",
    Method "method" "the method",
    Host "host"
        "the host that the client asked for: lower case, ASCII, without port; none if an HTTP/1.0 request names none",
    Path "path"
        "the path, as the client wrote it, without the query; bytes that are not printable ASCII as `%XX`",
    Protocol "protocol" "the client's: `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`",
    TlsVersion "tls_version" "`TLSv1.2` or `TLSv1.3`; none on plain HTTP",
    TlsSni "tls_sni"
        "the name that the client asked for in its TLS handshake; none on plain HTTP, or if it named none",
    Domain "domain" "the domain that the request was routed to",
    Tag "tag" "the tag whose backends serve the request: that of its path, or the live one",
    BackendId "backend_id" "the backend that the request goes to, or went to last; none if it got none",
}

impl RequestVariable {
    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.as_str() == name)
    }

    /// What can be written, for whoever has written `name`.
    pub fn list_for(name: &str) -> String {
        let names = Self::ALL.map(Self::as_str);
        let near = nearest(&name.to_ascii_lowercase(), names);
        let near = near.map(|near| format!("did you mean `${{{near}}}`? ")).unwrap_or_default();
        let list = names.map(|name| format!("${{{name}}}"));
        format!("{near}the variables of requests are {}", listed(&list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_one_name() {
        for variable in RequestVariable::ALL {
            assert_eq!(RequestVariable::named(variable.as_str()), Some(variable));
        }
        assert_eq!(RequestVariable::named("CLIENT_IP"), None);
        let list = RequestVariable::list_for("CLEINT_IP");
        assert!(list.starts_with(
            "did you mean `${client_ip}`? the variables of requests are `${client_ip}`, "
        ));
        assert!(list.ends_with(" and `${backend_id}`"), "{list}");
    }
}
