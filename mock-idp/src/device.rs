//! Device authorization (RFC 8628 §3.1 to §3.3).

use http::{Method, StatusCode, header};
use serde_json::json;

use crate::answer::{Answer, OAuthError};
use crate::client_auth;
use crate::config::GrantKind;
use crate::endpoint::Endpoint;
use crate::html::escaped;
use crate::issuer::random;
use crate::login;
use crate::service::Asked;
use crate::store::{Decision, Device, Grantee};
use crate::token::{audience, scope, well_formed};

const PAGE: &str = include_str!("page/device.html");
/// Letters that nobody mistakes for another, and that make no words (RFC 8628 §6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Answers the device.
pub(crate) fn authorize(asked: &Asked<'_>) -> Answer {
    match begin(asked) {
        Ok((client_id, code, device)) => {
            let page = asked.place.url(Endpoint::DeviceVerification, asked.config);
            let body = json!({
                "device_code": code,
                "user_code": device.user_code,
                "verification_uri": page,
                "verification_uri_complete": format!("{page}?user_code={}", device.user_code),
                "expires_in": asked.config.protocol.device_lifetime.as_secs(),
                "interval": asked.config.protocol.device_interval.as_secs(),
            });
            let mut answer = Answer::json(StatusCode::OK, &body).not_stored();
            answer.client = Some(client_id);
            answer
        }
        Err(error) => asked.refusal(&error),
    }
}

fn begin(asked: &Asked<'_>) -> Result<(String, String, Device), OAuthError> {
    well_formed(asked.call)?;
    let client = client_auth::authenticate(asked)?;
    if !asked.config.grants.contains(&GrantKind::DeviceCode) {
        return Err(OAuthError::new("unauthorized_client", "this issuer has no device code grant"));
    }
    let protocol = &asked.config.protocol;
    let device = Device {
        client_id: client.client_id.clone(),
        user_code: user_code(),
        scope: scope(asked, &client)?,
        audience: audience(asked.call)?,
        expires: asked.issuer.clock.now() + protocol.device_lifetime.as_secs_f64(),
        interval: protocol.device_interval.as_secs_f64(),
        last_poll: None,
        decision: Decision::Pending,
    };
    let code = format!("dc-{}", random());
    asked.issuer.store().devices.insert(code.clone(), device.clone());
    Ok((client.client_id, code, device))
}

fn user_code() -> String {
    let random = random();
    let letters: String =
        random.bytes().take(8).map(|b| char::from(LETTERS[usize::from(b) % LETTERS.len()])).collect();
    format!("{}-{}", &letters[..4], &letters[4..])
}

/// The page at which a user confirms the device.
pub(crate) fn page(asked: &Asked<'_>) -> Answer {
    match asked.call.method {
        Method::GET | Method::HEAD => form(asked, None),
        Method::POST => match decide(asked) {
            Ok(text) => login::message_page(StatusCode::OK, text, "You may close this page."),
            Err(problem) => form(asked, Some(problem)),
        },
        _ => OAuthError::only("GET, POST").answer(Default::default(), 0),
    }
}

fn form(asked: &Asked<'_>, problem: Option<&str>) -> Answer {
    let alert = problem.map(|p| format!("<p role=\"alert\">{}</p>", escaped(p))).unwrap_or_default();
    let page = PAGE
        .replace("{{action}}", &escaped(&asked.call.path))
        .replace("{{code}}", &escaped(asked.call.param("user_code").unwrap_or_default()))
        .replace("{{user}}", &escaped(&asked.config.login.automatic))
        .replace("{{problem}}", &alert);
    let mut answer = Answer::html(StatusCode::OK, page);
    answer.set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    answer
}

fn decide(asked: &Asked<'_>) -> Result<&'static str, &'static str> {
    let plain =
        |code: &str| code.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
    let code = plain(asked.call.param("user_code").ok_or("type the code that the device shows")?);
    let denied = asked.call.param("decision") == Some("deny");
    let name = asked.call.param("username").unwrap_or(&asked.config.login.automatic);
    let user = login::user(asked.config, name, asked.call.param("password").unwrap_or_default());
    let now = asked.issuer.clock.now();
    let auth_time = asked.issuer.clock.seconds();
    let mut store = asked.issuer.store();
    let family = store.new_family();
    let device = store
        .devices
        .values_mut()
        .find(|d| plain(&d.user_code) == code && d.expires >= now && d.decision == Decision::Pending)
        .ok_or("no device waits with this code")?;
    if denied {
        device.decision = Decision::Denied;
        return Ok("The device is not connected");
    }
    let user = user.ok_or("user name or password is wrong")?;
    device.decision = Decision::Approved(Box::new(Grantee {
        client_id: device.client_id.clone(),
        sub: Some(user.sub),
        user_claims: login::claims_for(&user.claims, device.scope.as_deref()),
        scope: device.scope.clone(),
        audience: device.audience.clone(),
        auth_time: Some(auth_time),
        family: Some(family),
        ..Grantee::default()
    }));
    Ok("The device is connected")
}
