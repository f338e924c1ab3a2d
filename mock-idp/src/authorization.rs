//! The authorization endpoint (RFC 6749 §4.1.1, OpenID Connect Core 1.0 §3.1.2).

use http::{Method, StatusCode, header};

use crate::answer::{Answer, OAuthError};
use crate::call::form;
use crate::config::{Clients, GrantKind};
use crate::fault::FaultKind;
use crate::issuer::random;
use crate::login::{self, LoggedIn};
use crate::service::Asked;
use crate::store::{Challenge, Code, Grantee, Session};
use crate::token::check_scope;

/// A request that may be answered by sending the browser back.
pub(crate) struct Authorization {
    params: Vec<(String, String)>,
    pub(crate) client_id: String,
    redirect_uri: String,
    mode: Mode,
    /// `request_uri` of a pushed request (RFC 9126), spent when a code is issued.
    pushed: Option<String>,
}

/// How the response comes back (OAuth 2.0 Multiple Response Types §2.1, Form Post Response Mode).
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Query,
    Fragment,
    FormPost,
}

impl Authorization {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        self.params.iter().filter(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone()).collect()
    }
}

/// Answers the browser.
pub(crate) async fn answer(asked: &Asked<'_>) -> Answer {
    if !matches!(asked.call.method, Method::GET | Method::HEAD | Method::POST) {
        return OAuthError::only("GET, POST").answer(Default::default(), 0);
    }
    let sent = login::Sent::read(asked.call);
    let params = match &sent {
        Some(sent) => form(sent.request.as_bytes()),
        None => asked.call.params.clone(),
    };
    // Until client and address are known to be right nobody is sent anywhere (RFC 6749 §4.1.2.1).
    let request = match understood(asked, params) {
        Ok(request) => request,
        Err(error) => return refused_page(&error),
    };
    let answer = match proceed(asked, &request, sent) {
        Ok(answer) => answer,
        Err(error) => {
            back(asked, &request, &[("error", &error.code), ("error_description", &error.description)])
        }
    };
    Answer { client: Some(request.client_id), ..answer }
}

/// Client, address and mode of a request.
fn understood(asked: &Asked<'_>, mut params: Vec<(String, String)>) -> Result<Authorization, OAuthError> {
    let value = |params: &[(String, String)], name: &str| {
        params.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.clone())
    };
    let client_id =
        value(&params, "client_id").ok_or_else(|| OAuthError::invalid_request("client_id is missing"))?;
    let pushed = value(&params, "request_uri");
    if let Some(uri) = &pushed {
        params = crate::pushed::params(asked, uri, &client_id)?;
    }
    let mut names = std::collections::HashSet::new();
    let repeats = |(n, _): &(String, String)| n != "resource" && n != "audience" && !names.insert(n.clone());
    if params.iter().any(repeats) {
        return Err(OAuthError::invalid_request("a parameter is there twice"));
    }
    let client = asked.issuer.client(asked.config, &client_id);
    if client.is_none() && matches!(asked.config.clients, Clients::Registered(_)) {
        return Err(OAuthError::new(
            "unauthorized_client",
            format!("the client `{client_id}` is not registered"),
        ));
    }
    let registered = client.map(|c| c.redirect_uris).unwrap_or_default();
    let redirect_uri = match (value(&params, "redirect_uri"), registered.as_slice()) {
        (Some(uri), []) => uri,
        (Some(uri), several) if several.iter().any(|known| same_address(known, &uri)) => uri,
        (Some(uri), _) => {
            return Err(OAuthError::invalid_request(format!("redirect_uri `{uri}` is not registered")));
        }
        (None, [one]) => one.clone(),
        (None, _) => return Err(OAuthError::invalid_request("redirect_uri is missing")),
    };
    let is_fine = url::Url::parse(&redirect_uri).is_ok_and(|u| {
        u.fragment().is_none() && !matches!(u.scheme(), "javascript" | "data" | "vbscript" | "file")
    });
    if !is_fine {
        return Err(OAuthError::invalid_request("redirect_uri must be an absolute URI without a fragment"));
    }
    let mode = match value(&params, "response_mode").as_deref() {
        None | Some("query") => Mode::Query,
        Some("fragment") => Mode::Fragment,
        Some("form_post") => Mode::FormPost,
        Some(_) => return Err(OAuthError::invalid_request("response_mode is not supported")),
    };
    Ok(Authorization { params, client_id, redirect_uri, mode, pushed })
}

/// Exactly, but for the port of a loopback address (RFC 8252 §7.3).
fn same_address(registered: &str, sent: &str) -> bool {
    if registered == sent {
        return true;
    }
    let without_port = |text: &str| {
        let mut url = url::Url::parse(text).ok()?;
        let is_loopback = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
        is_loopback.then(|| {
            let _ = url.set_port(None);
            url.to_string()
        })
    };
    without_port(registered).is_some_and(|r| Some(r) == without_port(sent))
}

/// The login page, or the way back with a code.
fn proceed(
    asked: &Asked<'_>,
    request: &Authorization,
    sent: Option<login::Sent>,
) -> Result<Answer, OAuthError> {
    permitted(asked, request)?;
    let wanted_error = asked.hits.kinds().find_map(|k| match k {
        FaultKind::OauthError { error, description, .. } => Some(OAuthError::new(
            error.clone(),
            description.clone().unwrap_or_else(|| "asked for by a fault".into()),
        )),
        _ => None,
    });
    if let Some(error) = wanted_error {
        return Err(error);
    }
    let config = asked.config;
    let prompts: Vec<&str> = request.param("prompt").unwrap_or_default().split(' ').collect();
    let session = session(asked).filter(|s| !prompts.contains(&"login") && !is_too_old(asked, request, s));
    if let Some(sent) = sent {
        if sent.denied {
            return Err(OAuthError::new("access_denied", "the user said no"));
        }
        return match sent.user(config) {
            Ok(user) => Ok(logged_in(asked, request, user)),
            Err(problem) => Ok(login::page(asked, request, Some(&problem))),
        };
    }
    if let Some(session) = session {
        return Ok(with_session(asked, request, &session));
    }
    if !config.login.interactive {
        let name = request.param("login_hint").unwrap_or(&config.login.automatic).to_owned();
        return match login::known(config, &name) {
            Some(user) => Ok(logged_in(asked, request, user)),
            None => Err(OAuthError::new("access_denied", format!("the user `{name}` is not known"))),
        };
    }
    if prompts.contains(&"none") {
        return Err(OAuthError::new("login_required", "nobody is logged in"));
    }
    Ok(login::page(asked, request, None))
}

/// What can be wrong and told to the client.
fn permitted(asked: &Asked<'_>, request: &Authorization) -> Result<(), OAuthError> {
    let config = asked.config;
    if request.param("request").is_some() {
        return Err(OAuthError::new("request_not_supported", "request objects are not supported"));
    }
    if config.protocol.require_par && request.pushed.is_none() {
        return Err(OAuthError::invalid_request(
            "this issuer wants authorization requests to be pushed (RFC 9126)",
        ));
    }
    match request.param("response_type") {
        Some("code") => {}
        Some(_) => {
            return Err(OAuthError::new("unsupported_response_type", "only response_type=code is supported"));
        }
        None => return Err(OAuthError::invalid_request("response_type is missing")),
    }
    if !config.grants.contains(&GrantKind::AuthorizationCode) {
        return Err(OAuthError::new("unauthorized_client", "this issuer has no authorization code grant"));
    }
    let client = asked.issuer.client(config, &request.client_id);
    let is_public = client.as_ref().is_some_and(|c| c.secret.expose().is_empty() && c.jwks.is_none());
    let method = request.param("code_challenge_method");
    match (request.param("code_challenge"), method) {
        (None, None) if config.protocol.require_pkce && is_public => {
            return Err(OAuthError::invalid_request(
                "code_challenge is missing: a public client has to use PKCE",
            ));
        }
        (None, Some(_)) => return Err(OAuthError::invalid_request("code_challenge is missing")),
        (Some(_), None | Some("S256" | "plain")) | (None, None) => {}
        (Some(_), Some(_)) => {
            return Err(OAuthError::invalid_request("code_challenge_method is not supported"));
        }
    }
    let challenge_is_fine = request.param("code_challenge").is_none_or(|c| (43..=128).contains(&c.len()));
    if !challenge_is_fine {
        return Err(OAuthError::invalid_request("code_challenge has to have from 43 to 128 characters"));
    }
    if request.param("max_age").is_some_and(|age| age.parse::<u64>().is_err()) {
        return Err(OAuthError::invalid_request("max_age is no number of seconds"));
    }
    let prompts: Vec<&str> = request.param("prompt").unwrap_or_default().split(' ').collect();
    if prompts.contains(&"none") && prompts.len() > 1 {
        return Err(OAuthError::invalid_request("prompt=none goes with no other"));
    }
    match request.param("scope") {
        Some(scope) => check_scope(config, client.as_ref().map(|c| c.scopes.as_slice()), scope),
        None if config.token.require_scope => Err(OAuthError::new("invalid_scope", "scope is missing")),
        None => Ok(()),
    }
}

fn is_too_old(asked: &Asked<'_>, request: &Authorization, session: &Session) -> bool {
    let age = request.param("max_age").and_then(|age| age.parse::<u64>().ok());
    age.is_some_and(|age| session.auth_time.saturating_add(age) < asked.issuer.clock.seconds())
}

/// Name of the cookie of an issuer's sessions: each has its own.
pub(crate) fn cookie_name(root: &str) -> String {
    format!("mock_idp_{}", &crate::jwt::sha256(root.as_bytes())[..8])
}

/// Who is logged in in this browser.
pub(crate) fn session(asked: &Asked<'_>) -> Option<Session> {
    let cookie = asked.call.cookie(&cookie_name(&asked.issuer.root))?;
    asked.issuer.store().sessions.get(&cookie).cloned()
}

/// Begins a session, and sends the browser back with a code.
fn logged_in(asked: &Asked<'_>, request: &Authorization, user: LoggedIn) -> Answer {
    let secret = random();
    let session =
        Session { id: random(), sub: user.sub, claims: user.claims, auth_time: asked.issuer.clock.seconds() };
    asked.issuer.store().sessions.insert(secret.clone(), session.clone());
    let mut answer = with_session(asked, request, &session);
    let secure = if asked.host.origins.scheme == "https" { "; Secure" } else { "" };
    let cookie =
        format!("{}={secret}; Path=/; HttpOnly; SameSite=Lax{secure}", cookie_name(&asked.issuer.root));
    answer.set(header::SET_COOKIE, &cookie);
    answer
}

fn with_session(asked: &Asked<'_>, request: &Authorization, session: &Session) -> Answer {
    let code = random();
    let mut audience = request.all("audience");
    audience.extend(request.all("resource"));
    let scope = request.param("scope").map(str::to_owned);
    let challenge = request.param("code_challenge").map(|value| Challenge {
        value: value.to_owned(),
        hashed: request.param("code_challenge_method") == Some("S256"),
    });
    let acr = request.param("acr_values").and_then(|a| a.split(' ').next()).map(str::to_owned);
    let now = asked.issuer.clock.now();
    let mut store = asked.issuer.store();
    let family = store.new_family();
    let grantee = Grantee {
        client_id: request.client_id.clone(),
        sub: Some(session.sub.clone()),
        user_claims: login::claims_for(&session.claims, scope.as_deref()),
        scope,
        audience,
        nonce: request.param("nonce").map(str::to_owned),
        auth_time: Some(session.auth_time),
        acr,
        session: Some(session.id.clone()),
        family: Some(family),
        ..Grantee::default()
    };
    store.codes.insert(
        code.clone(),
        Code {
            grantee,
            redirect_uri: request.redirect_uri.clone(),
            redirect_uri_was_sent: request.param("redirect_uri").is_some(),
            challenge,
            expires: now + asked.config.protocol.code_lifetime.as_secs_f64(),
            spent: false,
            dpop_jkt: request.param("dpop_jkt").map(str::to_owned),
        },
    );
    if let Some(uri) = &request.pushed {
        store.pushed.remove(uri);
    }
    drop(store);
    back(asked, request, &[("code", &code)])
}

/// Sends the browser back to the client (RFC 6749 §4.1.2), with `iss` (RFC 9207 §2).
fn back(asked: &Asked<'_>, request: &Authorization, params: &[(&str, &str)]) -> Answer {
    let mut all: Vec<(&str, String)> = params.iter().map(|(n, v)| (*n, (*v).to_owned())).collect();
    if let Some(state) = request.param("state") {
        all.push(("state", state.to_owned()));
    }
    all.push(("iss", asked.place.issuer.clone()));
    for kind in asked.hits.kinds() {
        let set = |all: &mut Vec<(&str, String)>, name: &str, value: &str| {
            all.iter_mut().filter(|(n, _)| *n == name).for_each(|(_, v)| value.clone_into(v));
        };
        match kind {
            FaultKind::WrongState => set(&mut all, "state", "a-state-of-another-login"),
            FaultKind::NoState => all.retain(|(n, _)| *n != "state"),
            FaultKind::WrongIssParameter => set(&mut all, "iss", "https://another-issuer.example"),
            FaultKind::NoIssParameter => all.retain(|(n, _)| *n != "iss"),
            _ => {}
        }
    }
    let error = all.iter().find(|(n, _)| *n == "error").map(|(_, v)| v.clone());
    let mut answer = match request.mode {
        Mode::FormPost => login::post_back(&request.redirect_uri, &all),
        mode => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.extend_pairs(all.iter().map(|(n, v)| (*n, v.as_str())));
            let joint = match mode {
                Mode::Fragment => '#',
                _ if request.redirect_uri.contains('?') => '&',
                _ => '?',
            };
            // After a POST the browser goes on with GET.
            let status =
                if asked.call.method == Method::POST { StatusCode::SEE_OTHER } else { StatusCode::FOUND };
            Answer::redirect(status, &format!("{}{joint}{}", request.redirect_uri, form.finish()))
        }
    };
    answer.error = error;
    answer
}

/// For what cannot be told to the client.
fn refused_page(error: &OAuthError) -> Answer {
    let mut answer =
        login::message_page(StatusCode::BAD_REQUEST, "This request cannot be answered", &error.description);
    answer.error = Some(error.code.to_string());
    answer
}
