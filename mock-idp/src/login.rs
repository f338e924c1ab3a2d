//! Users, the login page, and what comes back from it.

use http::{Method, StatusCode, header};
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::authorization::Authorization;
use crate::call::Call;
use crate::config::Config;
use crate::html::escaped;
use crate::service::Asked;

const LOGIN: &str = include_str!("page/login.html");
const MESSAGE: &str = include_str!("page/message.html");
const POST_BACK: &str = include_str!("page/post_back.html");

/// Somebody who has proved who they are.
pub(crate) struct LoggedIn {
    pub(crate) sub: String,
    pub(crate) claims: Map<String, Value>,
}

/// The user of a name and password; any if none are configured.
pub(crate) fn user(config: &Config, name: &str, password: &str) -> Option<LoggedIn> {
    let right = config.login.users.iter().find(|u| u.name == name).is_none_or(|u| {
        let wanted = u.password.expose();
        wanted.is_empty()
            || aws_lc_rs::constant_time::verify_slices_are_equal(wanted.as_bytes(), password.as_bytes())
                .is_ok()
    });
    known(config, name).filter(|_| right)
}

/// The user of a name.
pub(crate) fn known(config: &Config, name: &str) -> Option<LoggedIn> {
    let name = name.trim();
    if name.is_empty() || name.len() > 255 {
        return None;
    }
    let configured = config.login.users.iter().find(|u| u.name == name);
    if configured.is_none() && !config.login.users.is_empty() {
        return None;
    }
    let mut claims = configured.map(|u| u.claims.clone()).unwrap_or_default();
    let sub = claims.get("sub").and_then(Value::as_str).unwrap_or(name).to_owned();
    claims.shift_remove("sub");
    let (local, email) = match name.split_once('@') {
        Some((local, _)) => (local, name.to_owned()),
        None => (name, format!("{name}@example.test")),
    };
    let usual = [
        ("name", Value::from(local)),
        ("preferred_username", Value::from(name)),
        ("email", Value::from(email)),
        ("email_verified", Value::from(true)),
    ];
    for (claim, value) in usual {
        claims.entry(claim).or_insert(value);
    }
    Some(LoggedIn { sub, claims })
}

/// The claims that scopes allow (OpenID Connect Core 1.0 §5.4); claims of your own are always there.
pub(crate) fn claims_for(claims: &Map<String, Value>, scope: Option<&str>) -> Map<String, Value> {
    let has = |wanted: &str| scope.is_some_and(|s| s.split(' ').any(|s| s == wanted));
    let allowed = |claim: &str| match claim {
        "name" | "family_name" | "given_name" | "middle_name" | "nickname" | "preferred_username"
        | "profile" | "picture" | "website" | "gender" | "birthdate" | "zoneinfo" | "locale"
        | "updated_at" => has("profile"),
        "email" | "email_verified" => has("email"),
        "address" => has("address"),
        "phone_number" | "phone_number_verified" => has("phone"),
        _ => true,
    };
    claims.iter().filter(|(claim, _)| allowed(claim)).map(|(c, v)| (c.clone(), v.clone())).collect()
}

/// The form of the login page, as it came back.
pub(crate) struct Sent {
    /// The authorization request that led to the page.
    pub(crate) request: String,
    pub(crate) denied: bool,
    username: String,
    password: String,
    claims: String,
}

impl Sent {
    /// The form, if this is it.
    pub(crate) fn read(call: &Call) -> Option<Self> {
        if call.method != Method::POST {
            return None;
        }
        let value = |name: &str| call.param(name).unwrap_or_default().to_owned();
        // A page of the operator's own may post to the address that it was shown at, query and all.
        let own_page = || call.query.clone().filter(|_| call.param("username").is_some());
        let request = call.param("mock_idp_request").map(str::to_owned).or_else(own_page)?;
        Some(Self {
            request,
            denied: call.param("decision") == Some("deny"),
            username: value("username"),
            password: value("password"),
            claims: value("claims"),
        })
    }

    /// Who it is, or what is wrong with the form.
    pub(crate) fn user(&self, config: &Config) -> Result<LoggedIn, String> {
        let mut user = user(config, &self.username, &self.password)
            .ok_or_else(|| "user name or password is wrong".to_owned())?;
        if !self.claims.trim().is_empty() {
            let more: Map<String, Value> = serde_json::from_str(&self.claims)
                .map_err(|e| format!("claims have to be a JSON object: {e}"))?;
            if let Some(sub) = more.get("sub").and_then(Value::as_str) {
                sub.clone_into(&mut user.sub);
            }
            user.claims.extend(more.into_iter().filter(|(claim, _)| claim != "sub"));
        }
        Ok(user)
    }
}

/// The login page.
pub(crate) fn page(asked: &Asked<'_>, request: &Authorization, problem: Option<&str>) -> Answer {
    if let Some(own) = &asked.config.login.page {
        return Answer::html(StatusCode::OK, own.clone());
    }
    let call = asked.call;
    let original = match crate::call::is_form(&call.headers) && call.param("mock_idp_request").is_some() {
        true => call.param("mock_idp_request").unwrap_or_default().to_owned(),
        false if call.method == Method::POST => String::from_utf8_lossy(&call.body).into_owned(),
        false => call.query.clone().unwrap_or_default(),
    };
    let users: String =
        asked.config.login.users.iter().map(|u| format!("<option value=\"{}\">", escaped(&u.name))).collect();
    let hint = call.param("username").or_else(|| request.param("login_hint")).unwrap_or_default();
    let needs_password = asked.config.login.users.iter().any(|u| !u.password.expose().is_empty());
    let page = LOGIN
        .replace("{{issuer}}", &escaped(&asked.place.issuer))
        .replace("{{client}}", &escaped(&request.client_id))
        .replace("{{scope}}", &escaped(request.param("scope").unwrap_or("nothing in particular")))
        .replace("{{action}}", &escaped(&call.path))
        .replace("{{request}}", &escaped(&original))
        .replace("{{users}}", &users)
        .replace("{{hint}}", &escaped(hint))
        .replace("{{password}}", if needs_password { "" } else { "hidden" })
        .replace(
            "{{problem}}",
            &problem.map(|p| format!("<p role=\"alert\">{}</p>", escaped(p))).unwrap_or_default(),
        );
    let mut answer = Answer::html(StatusCode::OK, page);
    // `form-action` is left out: browsers hold it against the redirect that follows the form.
    answer.set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    answer
}

/// A page that says one thing.
pub(crate) fn message_page(status: StatusCode, title: &str, text: &str) -> Answer {
    let page = MESSAGE.replace("{{title}}", &escaped(title)).replace("{{text}}", &escaped(text));
    let mut answer = Answer::html(status, page);
    answer.set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    );
    answer
}

/// A page that posts the response to the client (OAuth 2.0 Form Post Response Mode).
pub(crate) fn post_back(address: &str, params: &[(&str, String)]) -> Answer {
    let fields: String = params
        .iter()
        .map(|(n, v)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(n), escaped(v)))
        .collect();
    let page = POST_BACK.replace("{{action}}", &escaped(address)).replace("{{fields}}", &fields);
    Answer::html(StatusCode::OK, page)
}
