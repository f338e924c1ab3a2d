//! End of the session (OpenID Connect RP-Initiated Logout 1.0).

use http::{Method, StatusCode, header};

use crate::answer::{Answer, OAuthError};
use crate::authorization::cookie_name;
use crate::config::Clients;
use crate::jwt::unverified_claims;
use crate::login;
use crate::service::Asked;

pub(crate) fn answer(asked: &Asked<'_>) -> Answer {
    if !matches!(asked.call.method, Method::GET | Method::HEAD | Method::POST) {
        return OAuthError::only("GET, POST").answer(Default::default(), 0);
    }
    let mut answer = match target(asked) {
        Ok(Some(address)) => Answer::redirect(StatusCode::SEE_OTHER, &address),
        Ok(None) => login::message_page(StatusCode::OK, "You are logged out", "You may close this page."),
        Err(problem) => {
            let mut answer = login::message_page(StatusCode::BAD_REQUEST, "You are not logged out", problem);
            answer.error = Some("invalid_request".to_owned());
            return answer;
        }
    };
    let name = cookie_name(&asked.issuer.root);
    if let Some(secret) = asked.call.cookie(&name) {
        asked.issuer.store().sessions.remove(&secret);
    }
    answer.set(header::SET_COOKIE, &format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
    answer
}

/// Where the browser goes then (§3).
fn target(asked: &Asked<'_>) -> Result<Option<String>, &'static str> {
    let hint =
        asked.call.param("id_token_hint").map(|t| unverified_claims(t).ok_or("id_token_hint is no JWT"));
    let hint = hint.transpose()?;
    if let Some(claims) = &hint
        && claims.get("iss").and_then(|i| i.as_str()) != Some(&asked.place.issuer)
    {
        return Err("id_token_hint is not from this issuer");
    }
    let of_hint = hint.as_ref().and_then(|c| c.get("aud")?.as_str().map(str::to_owned));
    let named = asked.call.param("client_id").map(str::to_owned);
    if named.is_some() && of_hint.is_some() && named != of_hint {
        return Err("client_id is not that of id_token_hint");
    }
    let client = named.or(of_hint);
    let Some(address) = asked.call.param("post_logout_redirect_uri") else { return Ok(None) };
    let registered = client
        .and_then(|id| asked.issuer.client(asked.config, &id))
        .map(|c| c.post_logout_redirect_uris)
        .unwrap_or_default();
    let open = registered.is_empty() && !matches!(asked.config.clients, Clients::Registered(_));
    if !open && !registered.iter().any(|known| known == address) {
        return Err("post_logout_redirect_uri is not registered");
    }
    let mut url = url::Url::parse(address).map_err(|_| "post_logout_redirect_uri is no absolute URI")?;
    if matches!(url.scheme(), "javascript" | "data" | "vbscript" | "file") {
        return Err("post_logout_redirect_uri is no address of a client");
    }
    if let Some(state) = asked.call.param("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    Ok(Some(url.into()))
}
