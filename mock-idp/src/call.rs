//! A request as it was read: everything in it is somebody else's word.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use axum::body::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, header};

use crate::client_auth;
use crate::endpoint::Endpoint;
use crate::record::Presented;
use crate::wire::Wire;

/// Bodies longer than this are refused.
pub(crate) const BODY_LIMIT: usize = 256 * 1024;
/// What is said then.
pub(crate) const BODY_TOO_LONG: &str = "body too long: 256 KiB are taken, within a minute";

/// Who is on the other side of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) port: u16,
    pub(crate) requests: Arc<AtomicU32>,
    /// What may be done to the connection.
    pub(crate) wire: Wire,
    /// The certificate that it presented (DER).
    pub(crate) certificate: Option<Arc<Vec<u8>>>,
    /// The connection came by the admin listener.
    pub(crate) by_admin_port: bool,
}

/// A request to an endpoint of an issuer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) endpoint: Endpoint,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) too_long: bool,
    /// The host that the request named: `Host`, or `:authority` of HTTP/2.
    pub(crate) named_host: Option<String>,
    pub(crate) peer: Peer,
    /// Parameters of the form, or of the query of a GET, in order.
    pub(crate) params: Vec<(String, String)>,
    pub(crate) basic: Option<Presented>,
    pub(crate) post: Option<Presented>,
}

impl Call {
    pub(crate) fn new(endpoint: Endpoint, parts: Parts, body: Bytes, too_long: bool, peer: Peer) -> Self {
        let query = parts.uri.query().map(str::to_owned);
        let is_get = matches!(parts.method, Method::GET | Method::HEAD);
        let params = if is_get {
            form(query.as_deref().unwrap_or_default().as_bytes())
        } else if is_json(&parts.headers) {
            Vec::new()
        } else {
            // Under a wrong media type it is refused, but the record shows what was meant.
            form(&body)
        };
        let basic = text_of(&parts.headers, &header::AUTHORIZATION).and_then(|a| client_auth::basic(&a));
        let named_host = host_of(&parts.headers, &parts.uri);
        let post = if is_get { None } else { client_auth::post(&params) };
        Self {
            endpoint,
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query,
            headers: parts.headers,
            body,
            too_long,
            named_host,
            peer,
            params,
            basic,
            post,
        }
    }

    /// The value of a parameter; an empty one is as good as absent (RFC 6749 §3.1).
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All values of a parameter that may be there more than once (`resource`, `audience`).
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.params.iter().filter(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone()).collect()
    }

    /// A parameter that must not be repeated and is (RFC 6749 §3.1, §3.2).
    pub(crate) fn repeated(&self) -> Option<&str> {
        let once = |name: &str| name != "resource" && name != "audience";
        let mut names: Vec<&str> = self.params.iter().map(|(n, _)| n.as_str()).filter(|n| once(n)).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// The client that the request says it is from, believed by nobody yet.
    pub(crate) fn claimed_client(&self) -> Option<String> {
        let named = self
            .basic
            .as_ref()
            .map(|b| b.client_id.clone())
            .or_else(|| self.param("client_id").map(str::to_owned));
        named.or_else(|| {
            let claims = crate::jwt::unverified_claims(self.param("client_assertion")?)?;
            claims.get("sub")?.as_str().map(str::to_owned)
        })
    }

    /// How the client authenticates, in a word.
    pub(crate) fn method_of_authentication(&self) -> &'static str {
        let assertion = self.params.iter().any(|(n, _)| n == "client_assertion");
        match (self.basic.is_some(), self.post.is_some(), assertion) {
            (true, true, _) => "basic+post",
            (true, false, _) => "basic",
            (false, true, _) => "post",
            (false, false, true) => "assertion",
            (false, false, false) if self.peer.certificate.is_some() => "certificate",
            (false, false, false) => "none",
        }
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<String> {
        text_of(&self.headers, name)
    }

    /// The token of a `Bearer` or `DPoP` header (RFC 6750 §2.1, RFC 9449 §7.1), with its scheme.
    pub(crate) fn presented_token(&self) -> Option<(String, String)> {
        let header = self.header(&header::AUTHORIZATION)?;
        let (scheme, token) = header.split_once(' ')?;
        let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("dpop");
        known.then(|| (scheme.to_ascii_lowercase(), token.trim().to_owned()))
    }

    /// Path and query as on the wire.
    pub(crate) fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    /// The value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let all = self.header(&header::COOKIE)?;
        all.split(';')
            .filter_map(|c| c.trim().split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.to_owned())
    }
}

/// Parses `application/x-www-form-urlencoded`: any bytes, never an error.
pub(crate) fn form(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).map(|(n, v)| (n.into_owned(), v.into_owned())).collect()
}

pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    text_of(headers, &header::CONTENT_TYPE).is_some_and(|c| {
        let media_type = c.split(';').next().unwrap_or_default().trim().to_owned();
        media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    text_of(headers, &header::CONTENT_TYPE).is_some_and(|c| c.to_ascii_lowercase().contains("json"))
}

pub(crate) fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}

/// The host that a request names.
pub(crate) fn host_of(headers: &HeaderMap, uri: &http::Uri) -> Option<String> {
    text_of(headers, &header::HOST).or_else(|| uri.authority().map(ToString::to_string))
}
