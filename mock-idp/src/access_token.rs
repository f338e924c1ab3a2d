//! Access tokens: JWT by RFC 9068, or opaque.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::config::TokenFormat;
use crate::issuer::State;
use crate::record::IssuedToken;
use crate::secret::Secret;

/// Issues a token and remembers it.
pub(crate) fn issue(
    state: &State,
    client_id: &str,
    audience: Option<&str>,
    scope: Option<&str>,
) -> IssuedToken {
    let lifetime = state.config.token.lifetime;
    let now = now();
    // Rounded up: no client that trusts `expires_in` sees its token end too early.
    let expires = now.ceil() as u64 + lifetime.as_secs();
    let id = random();
    let token = match state.config.token.format {
        TokenFormat::Opaque => format!("at-{}{}", random(), random()),
        TokenFormat::Jwt => {
            let nth = state.newest_key.load(Ordering::SeqCst);
            let key = state.config.keys.key(state.config.token.alg, nth);
            let header = json!({ "typ": "at+jwt", "alg": key.alg_name(), "kid": key.kid });
            let mut claims = json!({
                "iss": state.urls.issuer, "sub": client_id, "client_id": client_id,
                "aud": audience.unwrap_or(&state.config.token.audience),
                "iat": now as u64, "exp": expires, "jti": id,
            });
            if let Some(scope) = scope {
                claims["scope"] = scope.into();
            }
            let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(&header), part(&claims));
            let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
            format!("{signed}.{signature}")
        }
    };
    let issued = IssuedToken {
        token: Secret::new(token.clone()),
        client_id: client_id.to_owned(),
        id,
        lifetime,
        expires,
        revoked: false,
    };
    state.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token, issued.clone());
    issued
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

fn random() -> String {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    URL_SAFE_NO_PAD.encode(bytes)
}
