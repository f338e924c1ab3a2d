//! Client authentication at the token endpoint (RFC 6749 §2.3.1).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{ClientAuth, Clients, Config};
use crate::record::Presented;
use crate::secret::Secret;

/// Credentials of an `Authorization: Basic` header: base64 of the form-encoded id and secret.
pub(crate) fn basic(header: &str) -> Option<Presented> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let bytes = STANDARD.decode(encoded.trim()).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (id, secret) = text.split_once(':').unwrap_or((&text, ""));
    let well_formed = is_form_encoded(id) && is_form_encoded(secret);
    Some(Presented { client_id: form_decoded(id), secret: Secret::new(form_decoded(secret)), well_formed })
}

/// Credentials of a form body; `None` without a secret.
pub(crate) fn post(params: &[(String, String)]) -> Option<Presented> {
    let value = |name: &str| params.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let secret = Secret::new(value("client_secret")?);
    Some(Presented { client_id: value("client_id").unwrap_or_default(), secret, well_formed: true })
}

/// Why a client is refused.
pub(crate) struct Refused {
    pub(crate) error: &'static str,
    pub(crate) description: &'static str,
}

/// The client that a request is from.
pub(crate) fn authenticate<'p>(
    config: &Config,
    basic: Option<&'p Presented>,
    post: Option<&'p Presented>,
) -> Result<&'p Presented, Refused> {
    let refused = |error, description| Err(Refused { error, description });
    let presented = match (basic, post, config.client_auth) {
        (Some(_), Some(_), _) => {
            return refused(
                "invalid_request",
                "more than one method of client authentication in one request",
            );
        }
        (Some(basic), None, ClientAuth::Any | ClientAuth::BasicOnly) => basic,
        (None, Some(post), ClientAuth::Any | ClientAuth::PostOnly) => post,
        (Some(_), None, ClientAuth::PostOnly) => {
            return refused("invalid_client", "this issuer takes client_secret_post only");
        }
        (None, Some(_), ClientAuth::BasicOnly) => {
            return refused("invalid_client", "this issuer takes client_secret_basic only");
        }
        (None, None, _) => return refused("invalid_client", "no client authentication"),
    };
    match &config.clients {
        Clients::Any => Ok(presented),
        Clients::Registered(clients) => {
            let same = |a: &str, b: &str| verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok();
            let known = clients.iter().find(|c| c.id == presented.client_id);
            match known.filter(|c| same(c.secret.expose(), presented.secret.expose())) {
                Some(_) => Ok(presented),
                None => refused("invalid_client", "unknown client, or wrong secret"),
            }
        }
    }
}

fn form_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// Only characters that `application/x-www-form-urlencoded` leaves, and whole escapes.
fn is_form_encoded(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)),
        other => other.is_ascii_alphanumeric() || b"+*-._".contains(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_and_secret_are_form_decoded_after_base64() {
        let header = format!("Basic {}", STANDARD.encode("my%3Aid:a+b%25%26%C3%A9"));
        let presented = basic(&header).expect("a Basic header");
        assert_eq!(presented.client_id, "my:id");
        assert_eq!(presented.secret.expose(), "a b%&é");
        assert!(presented.well_formed);
    }

    #[test]
    fn a_secret_that_was_not_encoded_is_noticed() {
        let header = format!("basic {}", STANDARD.encode("id:a b"));
        assert!(!basic(&header).expect("a Basic header").well_formed);
        assert!(basic("Bearer x").is_none());
    }
}
