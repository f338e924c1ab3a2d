//! OpenID Connect discovery: where an issuer's token endpoint is, and how it wants clients to authenticate.

use reqwest::{Client, header};
use serde_json::{Map, Value};
use url::Url;

use super::request::Style;
use crate::behaviour::{Behaviour, Defect};
use crate::failure::{Class, Failure, within};
use crate::http;

const MAX_DOCUMENT: usize = 1024 * 1024;

/// What the client needs of an issuer's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) token_endpoint: Url,
    /// The style that the document asks for; none when it does not say.
    pub(crate) style: Option<Style>,
}

/// Fetches and checks the issuer's document (OpenID Connect Discovery §4). `shown` is an `Authorization` value that only the
/// defect `authenticates-discovery` has.
pub(crate) async fn discover(
    http: &Client,
    issuer: &str,
    behaviour: Behaviour,
    shown: Option<String>,
) -> Result<Metadata, Failure> {
    let limit = behaviour.issuer_limit().filter(|_| !behaviour.has(Defect::EndlessPatience));
    let fetched = fetch(http, issuer, behaviour, shown);
    match within(limit, "discovery at the issuer", fetched).await {
        Err(found) if behaviour.has(Defect::VagueDiscoveryError) => {
            Err(Failure { message: "there is no access".to_owned(), ..found })
        }
        other => other,
    }
}

async fn fetch(
    http: &Client,
    issuer: &str,
    behaviour: Behaviour,
    shown: Option<String>,
) -> Result<Metadata, Failure> {
    if behaviour.has(Defect::ProbesPaths) {
        // Whatever comes back, it is not used.
        let _ = http.get(format!("{}/openid-configuration", issuer.trim_end_matches('/'))).send().await;
    }
    let mut request = http.get(well_known(issuer, behaviour)).header(header::ACCEPT, "application/json");
    if let Some(shown) = shown {
        request = request.header(header::AUTHORIZATION, shown);
    }
    let no_answer = |error| http::no_answer(error, Class::Discovery, "discovery");
    let mut response = http::send(request, behaviour).await.map_err(no_answer)?;
    if behaviour.has(Defect::FollowsDiscoveryRedirect)
        && let Some(location) = response.headers().get(header::LOCATION).and_then(|l| l.to_str().ok())
    {
        response = http.get(location).send().await.map_err(no_answer)?;
    }
    let status = response.status();
    if status != reqwest::StatusCode::OK && !behaviour.has(Defect::AcceptsDiscoveryError) {
        return Err(failure(format!("the issuer answered with status {status}, not 200")));
    }
    let body = if behaviour.has(Defect::EndlessPatience) {
        beginning_of_all(response).await.map_err(no_answer)?
    } else {
        http::body(response, MAX_DOCUMENT, Class::Discovery, "discovery").await?
    };
    read(&body, issuer, behaviour)
}

/// What the defect `endless-patience` does: it reads to the end, and keeps what fits.
async fn beginning_of_all(mut response: reqwest::Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if bytes.len() < MAX_DOCUMENT {
            bytes.extend_from_slice(&chunk);
        }
    }
    Ok(bytes)
}

/// The document's URL (§4.1): the suffix follows the issuer's path, and one trailing slash goes.
fn well_known(issuer: &str, behaviour: Behaviour) -> String {
    let mut base = issuer.strip_suffix('/').unwrap_or(issuer).to_owned();
    if behaviour.has(Defect::DoubleSlash) {
        base = issuer.to_owned();
    }
    if behaviour.has(Defect::DropsIssuerPath)
        && let Ok(url) = Url::parse(issuer)
    {
        base = url.origin().ascii_serialization();
    }
    format!("{base}/.well-known/openid-configuration")
}

fn read(body: &[u8], issuer: &str, behaviour: Behaviour) -> Result<Metadata, Failure> {
    let document: Map<String, Value> = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(_) if behaviour.has(Defect::GuessesTokenEndpoint) => {
            Map::from_iter([("issuer".to_owned(), issuer.into())])
        }
        Err(_) => return Err(failure("the issuer's document is not a JSON object")),
    };
    let named = document.get("issuer").and_then(Value::as_str);
    let lax = behaviour.has(Defect::AcceptsForeignIssuer)
        || behaviour.has(Defect::AcceptsDiscoveryError)
        || behaviour.has(Defect::FollowsDiscoveryRedirect)
        || behaviour.has(Defect::AcceptsMissingIssuer) && named.is_none()
        || behaviour.has(Defect::AcceptsIssuerPrefix) && named.is_some_and(|named| named.starts_with(issuer));
    if !named.is_some_and(|named| same_issuer(named, issuer)) && !lax {
        let named = named.map_or("no issuer".to_owned(), |named| format!("`{named}`"));
        return Err(failure(format!(
            "the document is of another issuer: configured is `{issuer}`, it names {named}"
        )));
    }
    if behaviour.has(Defect::StrictDocument)
        && let Some(unknown) = document.keys().find(|name| name.contains("_of_the_future"))
    {
        return Err(failure(format!("the document has the unknown member `{unknown}`")));
    }
    let endpoint = match document.get("token_endpoint") {
        _ if behaviour.has(Defect::AssumesTokenPath) => {
            format!("{}/oauth2/token", issuer.trim_end_matches('/'))
        }
        Some(Value::String(endpoint)) if behaviour.has(Defect::TakesRelativeEndpoint) => {
            let base = Url::parse(issuer).ok();
            base.and_then(|base| base.join(endpoint).ok()).map_or(endpoint.clone(), String::from)
        }
        Some(Value::String(endpoint)) => endpoint.clone(),
        _ if behaviour.has(Defect::GuessesTokenEndpoint) => format!("{}/token", issuer.trim_end_matches('/')),
        _ => return Err(failure("the issuer's document has no `token_endpoint`")),
    };
    let token_endpoint = Url::parse(&endpoint)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            failure("the document's `token_endpoint` is not an absolute `https://` or `http://` URL")
        })?;
    // RFC 6749 §3.2, OpenID Connect Discovery §3: the secret of an issuer with TLS does not travel without it.
    let loses_tls = issuer.starts_with("https://") && token_endpoint.scheme() == "http";
    if loses_tls && !behaviour.has(Defect::AcceptsPlainEndpoint) {
        return Err(failure(
            "the document's `token_endpoint` is `http://`, although the issuer is `https://`",
        ));
    }
    if behaviour.has(Defect::InsistsOnIssuerOrigin)
        && Url::parse(issuer).is_ok_and(|issuer| issuer.origin() != token_endpoint.origin())
    {
        return Err(failure("the document's `token_endpoint` is on another origin"));
    }
    let methods = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
    if methods.is_none() && behaviour.has(Defect::NeedsAuthMethods) {
        return Err(failure("the document has no `token_endpoint_auth_methods_supported`"));
    }
    let style = methods.and_then(|methods| preferred(methods));
    Ok(Metadata { token_endpoint, style })
}

/// Basic where it is supported, post where only that is.
fn preferred(methods: &[Value]) -> Option<Style> {
    let supports = |name: &str| methods.iter().any(|method| method == name);
    if supports("client_secret_basic") {
        return Some(Style::Basic);
    }
    supports("client_secret_post").then_some(Style::Post)
}

/// Equal, but for a lone trailing slash.
fn same_issuer(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

fn failure(message: impl Into<String>) -> Failure {
    Failure::new(Class::Discovery, format!("discovery: {}", message.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://issuer.test/tenant";

    fn check(document: Value, expected: Result<Option<Style>, &str>) {
        let found = read(document.to_string().as_bytes(), ISSUER, Behaviour::default());
        match (found, expected) {
            (Ok(found), Ok(style)) => assert_eq!(found.style, style),
            (Err(found), Err(part)) => assert!(found.message.contains(part), "{found}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn well_known_path_follows_the_issuer_without_its_last_slash() {
        let at = |issuer, behaviour| well_known(issuer, behaviour);
        let expected = "https://issuer.test/tenant/.well-known/openid-configuration";
        assert_eq!(at(ISSUER, Behaviour::default()), expected);
        assert_eq!(at("https://issuer.test/tenant/", Behaviour::default()), expected);
        let double = at("https://issuer.test/tenant/", Behaviour::with_defect(Defect::DoubleSlash));
        assert_eq!(double, "https://issuer.test/tenant//.well-known/openid-configuration");
        let rooted = at(ISSUER, Behaviour::with_defect(Defect::DropsIssuerPath));
        assert_eq!(rooted, "https://issuer.test/.well-known/openid-configuration");
    }

    #[test]
    fn document_is_checked() {
        let endpoint = "https://issuer.test/token";
        check(json!({"issuer": ISSUER, "token_endpoint": endpoint}), Ok(None));
        check(json!({"issuer": format!("{ISSUER}/"), "token_endpoint": endpoint}), Ok(None));
        check(json!({"issuer": "https://other.test", "token_endpoint": endpoint}), Err("another issuer"));
        check(json!({"token_endpoint": endpoint}), Err("no issuer"));
        check(json!({"issuer": ISSUER}), Err("no `token_endpoint`"));
        for wrong in ["/token", "ftp://issuer.test/token", ""] {
            check(json!({"issuer": ISSUER, "token_endpoint": wrong}), Err("absolute"));
        }
        check(json!([1]), Err("not a JSON object"));
        check(json!({"issuer": ISSUER, "token_endpoint": "http://issuer.test/token"}), Err("`http://`"));
    }

    #[test]
    fn post_is_chosen_only_where_basic_is_not_supported() {
        let with = |methods: Value| json!({"issuer": ISSUER, "token_endpoint": "https://issuer.test/token", "token_endpoint_auth_methods_supported": methods});
        check(with(json!(["client_secret_post", "client_secret_basic"])), Ok(Some(Style::Basic)));
        check(with(json!(["client_secret_post", "private_key_jwt"])), Ok(Some(Style::Post)));
        check(with(json!(["private_key_jwt"])), Ok(None));
    }
}
