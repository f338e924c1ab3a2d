//! The token endpoint (RFC 6749 §3.2).

mod client_credentials;
mod code;
mod device_code;
mod exchange;
mod jwt_bearer;
mod password;
mod refresh;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::answer::{Answer, OAuthError};
use crate::call::{Call, is_form};
use crate::client_auth::{self, Authenticated};
use crate::config::{Config, ExpiresIn, GrantKind};
use crate::dpop;
use crate::fault::FaultKind;
use crate::issuer::random;
use crate::jwt::Mint;
use crate::record::IssuedToken;
use crate::service::Asked;
use crate::store::{Grantee, Refresh};

/// What a grant comes to.
pub(crate) struct Granted {
    pub(crate) grantee: Grantee,
    /// A refresh token comes with it.
    pub(crate) refresh: Renewal,
    /// Members that only this grant has.
    pub(crate) extra: Vec<(&'static str, Value)>,
    /// The code, for `c_hash`.
    pub(crate) code: Option<String>,
    /// An ID token stands where the access token usually does (RFC 8693 §2.2.1).
    pub(crate) only_id_token: bool,
}

/// Whether a refresh token comes.
pub(crate) enum Renewal {
    None,
    New,
    /// The one that was sent stays good.
    Same(String),
}

impl Granted {
    pub(crate) fn new(grantee: Grantee, refresh: Renewal) -> Self {
        Self { grantee, refresh, extra: Vec::new(), code: None, only_id_token: false }
    }
}

/// Answers a token request.
pub(crate) async fn answer(asked: &Asked<'_>) -> Answer {
    match granted(asked) {
        Ok((client, granted)) => success(asked, &client, granted).await,
        Err((client, error)) => {
            let mut answer = asked.refusal(&error);
            answer.client = client;
            answer
        }
    }
}

/// A refusal, and to which client, if that is known.
type Refused = (Option<String>, Box<OAuthError>);

fn granted(asked: &Asked<'_>) -> Result<(Authenticated, Granted), Refused> {
    let call = asked.call;
    well_formed(call).map_err(|e| (None, Box::new(e)))?;
    let mut client = client_auth::authenticate(asked).map_err(|e| (None, Box::new(e)))?;
    // Before anything is spent: who has to come again with a nonce needs the same code.
    let id = client.client_id.clone();
    client.proven_key = dpop::thumbprint(asked, None).map_err(|e| (Some(id), Box::new(e)))?;
    let named = |error| (Some(client.client_id.clone()), Box::new(error));
    let grant = grant_of(asked, &client).map_err(named)?;
    let granted = match grant {
        GrantKind::ClientCredentials => client_credentials::grant(asked, &client),
        GrantKind::AuthorizationCode => code::grant(asked, &client),
        GrantKind::RefreshToken => refresh::grant(asked, &client),
        GrantKind::DeviceCode => device_code::grant(asked, &client),
        GrantKind::TokenExchange => exchange::grant(asked, &client),
        GrantKind::JwtBearer => jwt_bearer::grant(asked, &client),
        GrantKind::Password => password::grant(asked, &client),
    };
    let mut granted = granted.map_err(named)?;
    // The key that the tokens are bound to, by DPoP or by the client's certificate.
    let certificate = client.certificate.clone().map(|thumbprint| ("x5t#S256", thumbprint));
    granted.grantee.confirmation =
        client.proven_key.clone().map(|thumbprint| ("jkt", thumbprint)).or(certificate);
    Ok((client, granted))
}

/// What has to be right before anybody looks at what is asked for.
pub(crate) fn well_formed(call: &Call) -> Result<(), OAuthError> {
    if call.method != Method::POST {
        return Err(OAuthError::only("POST"));
    }
    if !is_form(&call.headers) {
        return Err(OAuthError::invalid_request("the body must be application/x-www-form-urlencoded"));
    }
    match call.repeated() {
        Some(_) => Err(OAuthError::invalid_request("a parameter is there twice")),
        None => Ok(()),
    }
}

fn grant_of(asked: &Asked<'_>, client: &Authenticated) -> Result<GrantKind, OAuthError> {
    let name =
        asked.call.param("grant_type").ok_or_else(|| OAuthError::invalid_request("grant_type is missing"))?;
    let grant = GrantKind::from_wire(name).filter(|g| asked.config.grants.contains(g)).ok_or_else(|| {
        let known: Vec<&str> = asked.config.grants.iter().map(|g| g.as_str()).collect();
        OAuthError::new("unsupported_grant_type", format!("only {} is supported", known.join(", ")))
    })?;
    let registered = client.client.as_ref().is_none_or(|c| c.grants.is_empty() || c.grants.contains(&grant));
    if !registered {
        return Err(OAuthError::new("unauthorized_client", "this client is not registered for this grant"));
    }
    Ok(grant)
}

/// Scope of a request: known, allowed to the client, and there if it has to be.
pub(crate) fn scope(asked: &Asked<'_>, client: &Authenticated) -> Result<Option<String>, OAuthError> {
    let config = &asked.config.token;
    let Some(scope) = asked.call.param("scope") else {
        if config.require_scope {
            return Err(OAuthError::new("invalid_scope", "scope is missing"));
        }
        return Ok(None);
    };
    check_scope(asked.config, client.client.as_ref().map(|c| c.scopes.as_slice()), scope)?;
    if asked.hits.any(|k| *k == FaultKind::ReducedScope) {
        return Ok(scope.split(' ').next().map(str::to_owned));
    }
    Ok(Some(scope.to_owned()))
}

pub(crate) fn check_scope(
    config: &Config,
    of_client: Option<&[String]>,
    scope: &str,
) -> Result<(), OAuthError> {
    let printable = |s: &str| s.bytes().all(|b| (0x21..=0x7e).contains(&b) && b != b'"' && b != b'\\');
    let among = |list: &[String], s: &str| list.iter().any(|known| known == s);
    let known = |s: &str| {
        config.token.scopes.as_ref().is_none_or(|all| among(all, s))
            && of_client.is_none_or(|own| own.is_empty() || among(own, s))
    };
    // RFC 6749 §3.3: words of printable characters, a space between each two.
    if !scope.split(' ').all(|s| !s.is_empty() && printable(s)) {
        return Err(OAuthError::new("invalid_scope", "scope is not a list of words"));
    }
    if !scope.split(' ').all(known) {
        return Err(OAuthError::new("invalid_scope", "a scope is not known"));
    }
    Ok(())
}

/// For whom tokens are asked: `audience`, as many providers have it, and `resource` (RFC 8707).
pub(crate) fn audience(call: &Call) -> Result<Vec<String>, OAuthError> {
    let mut audience = call.all("audience");
    for resource in call.all("resource") {
        let is_fine = url::Url::parse(&resource).is_ok_and(|u| u.fragment().is_none());
        if !is_fine {
            return Err(OAuthError::new(
                "invalid_target",
                "resource must be an absolute URI without a fragment",
            ));
        }
        audience.push(resource);
    }
    audience.dedup();
    Ok(audience)
}

async fn success(asked: &Asked<'_>, client: &Authenticated, granted: Granted) -> Answer {
    let Granted { grantee, refresh, extra, code, only_id_token } = granted;
    let mint = Mint {
        host: asked.host,
        issuer: asked.issuer,
        config: asked.config,
        place: asked.place,
        hits: asked.hits,
        params: &asked.call.params,
    };
    let access = mint.access_token(&grantee).await;
    let has_id_token = (grantee.has_scope("openid") && grantee.sub.is_some()) || only_id_token;
    let id_token = if has_id_token && !asked.hits.any(|k| *k == FaultKind::NoIdToken) {
        Some(mint.id_token(&grantee, Some(access.token.expose()), code.as_deref()).await)
    } else {
        None
    };
    let mut body = body(asked, &grantee, &access);
    if let Some(id_token) = id_token {
        if only_id_token {
            body["access_token"] = id_token.into();
            body["token_type"] = "N_A".into();
        } else {
            if asked.hits.any(|k| *k == FaultKind::IdTokenAsAccessToken) {
                body["access_token"] = id_token.clone().into();
            }
            body["id_token"] = id_token.into();
        }
    }
    if !asked.hits.any(|k| *k == FaultKind::NoRefreshToken) {
        match refresh {
            Renewal::None => {}
            Renewal::Same(token) => body["refresh_token"] = token.into(),
            Renewal::New => body["refresh_token"] = new_refresh(asked, &grantee).into(),
        }
    }
    for (name, value) in extra {
        body[name] = value;
    }
    let sub = mint.sub(&grantee);
    mint.patched(&mut body, &asked.config.token.answer, &grantee, &sub);
    let mut answer = written(asked, &body);
    answer.granted = Some(access);
    answer.client = Some(client.client_id.clone());
    answer
}

fn body(asked: &Asked<'_>, grantee: &Grantee, access: &IssuedToken) -> Value {
    let is_dpop = matches!(grantee.confirmation, Some(("jkt", _)));
    let mut body = json!({
        "access_token": access.token.expose(),
        "token_type": if is_dpop { "DPoP" } else { "Bearer" },
    });
    let lifetime = access.lifetime.as_secs();
    match asked.config.token.expires_in {
        ExpiresIn::Number => body["expires_in"] = lifetime.into(),
        ExpiresIn::String => body["expires_in"] = lifetime.to_string().into(),
        ExpiresIn::Absent => {}
    }
    if let Some(scope) = &grantee.scope {
        body["scope"] = scope.clone().into();
    }
    body
}

/// JSON, or a form for the provider that prefers it.
fn written(asked: &Asked<'_>, body: &Value) -> Answer {
    let accepts_json = asked.call.header(&header::ACCEPT).is_some_and(|a| a.contains("json"));
    if asked.config.quirks.form_answer_unless_json_accepted && !accepts_json {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in body.as_object().into_iter().flatten() {
            form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
        }
        return Answer::typed(StatusCode::OK, "application/x-www-form-urlencoded", form.finish())
            .not_stored();
    }
    Answer::json(StatusCode::OK, body).not_stored()
}

/// A refresh token for the same as this access token.
fn new_refresh(asked: &Asked<'_>, grantee: &Grantee) -> String {
    let token = format!("rt-{}{}", random(), random());
    let expires = asked.issuer.clock.now() + asked.config.protocol.refresh_lifetime.as_secs_f64();
    let refresh = Refresh { grantee: grantee.clone(), expires, spent: false, revoked: false };
    asked.issuer.store().refresh.insert(token.clone(), refresh);
    token
}

/// Whether a login comes with a refresh token.
pub(crate) fn renewal(asked: &Asked<'_>, client: &Authenticated, grantee: &Grantee) -> Renewal {
    let config = asked.config;
    let of_client = client
        .client
        .as_ref()
        .is_none_or(|c| c.grants.is_empty() || c.grants.contains(&GrantKind::RefreshToken));
    let asked_for = !config.protocol.refresh_needs_offline_access || grantee.has_scope("offline_access");
    if config.grants.contains(&GrantKind::RefreshToken) && of_client && asked_for {
        Renewal::New
    } else {
        Renewal::None
    }
}
