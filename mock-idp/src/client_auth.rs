//! Client authentication (RFC 6749 §2.3.1, RFC 7523 §2.2, RFC 8705 §2).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::OAuthError;
use crate::call::Call;
use crate::config::{Client, ClientAuth, Clients};
use crate::jwt::sha256;
use crate::record::Presented;
use crate::secret::Secret;
use crate::service::Asked;

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

/// A client that is who it says it is, as far as the issuer wants to know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authenticated {
    pub(crate) client_id: String,
    /// It had to prove nothing (RFC 6749 §2.1).
    pub(crate) is_public: bool,
    /// Its registration, if there is one.
    pub(crate) client: Option<Client>,
    /// SHA-256 of its certificate, if it came with one (RFC 8705 §3.1).
    pub(crate) certificate: Option<String>,
    /// Thumbprint of the key that a DPoP proof was made with (RFC 9449).
    pub(crate) proven_key: Option<String>,
}

/// What the request brought to authenticate its client.
enum Proof<'c> {
    Basic(&'c Presented),
    Post(&'c Presented),
    Assertion(&'c str),
    Certificate(&'c [u8], String),
    Nothing(Option<String>),
}

/// `client_assertion_type` (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The client that a request is from.
pub(crate) fn authenticate(asked: &Asked<'_>) -> Result<Authenticated, OAuthError> {
    let outcome = proof(asked.call).and_then(|proof| {
        allowed(&proof, asked.config.client_auth)?;
        verified(asked, &proof)
    });
    outcome.map_err(|mut error| {
        if error.code == "invalid_client" && asked.call.basic.is_some() {
            error.challenge = Some("Basic realm=\"token\"".to_owned());
        }
        error
    })
}

fn proof(call: &Call) -> Result<Proof<'_>, OAuthError> {
    let assertion = match (call.param("client_assertion"), call.param("client_assertion_type")) {
        (Some(assertion), Some(JWT_BEARER)) => Some(assertion),
        (Some(_), _) => {
            return Err(OAuthError::invalid_request(format!("client_assertion_type must be {JWT_BEARER}")));
        }
        (None, _) => None,
    };
    let methods = [call.basic.is_some(), call.post.is_some(), assertion.is_some()];
    if methods.into_iter().filter(|m| *m).count() > 1 {
        return Err(OAuthError::invalid_request(
            "more than one method of client authentication in one request",
        ));
    }
    let named = call.param("client_id").map(str::to_owned);
    if let Some(basic) = &call.basic {
        if named.as_ref().is_some_and(|n| *n != basic.client_id) {
            return Err(OAuthError::invalid_request(
                "client_id and the Authorization header name two clients",
            ));
        }
        return Ok(Proof::Basic(basic));
    }
    Ok(match (&call.post, assertion, &call.peer.certificate, named) {
        (Some(post), _, _, _) => Proof::Post(post),
        (None, Some(assertion), _, _) => Proof::Assertion(assertion),
        (None, None, Some(certificate), Some(id)) => Proof::Certificate(certificate, id),
        (None, None, _, named) => Proof::Nothing(named),
    })
}

fn allowed(proof: &Proof<'_>, methods: ClientAuth) -> Result<(), OAuthError> {
    let only = |method| Err(OAuthError::invalid_client(format!("this issuer takes {method} only")));
    match (methods, proof) {
        (ClientAuth::Any, _)
        | (_, Proof::Nothing(_))
        | (ClientAuth::BasicOnly, Proof::Basic(_))
        | (ClientAuth::PostOnly, Proof::Post(_))
        | (ClientAuth::SecretJwtOnly | ClientAuth::PrivateKeyJwtOnly, Proof::Assertion(_))
        | (ClientAuth::MtlsOnly, Proof::Certificate(..)) => Ok(()),
        (ClientAuth::BasicOnly, _) => only("client_secret_basic"),
        (ClientAuth::PostOnly, _) => only("client_secret_post"),
        (ClientAuth::SecretJwtOnly, _) => only("client_secret_jwt"),
        (ClientAuth::PrivateKeyJwtOnly, _) => only("private_key_jwt"),
        (ClientAuth::MtlsOnly, _) => only("tls_client_auth"),
    }
}

fn verified(asked: &Asked<'_>, proof: &Proof<'_>) -> Result<Authenticated, OAuthError> {
    let issuer = asked.issuer;
    let strict = matches!(asked.config.clients, Clients::Registered(_));
    let lookup = |id: &str| -> Result<Option<Client>, OAuthError> {
        let client = issuer.client(asked.config, id);
        let unknown = client.is_none() && strict;
        if id.is_empty() || unknown {
            // The same words whether the client or its secret is wrong: nothing is told to who guesses.
            return Err(OAuthError::invalid_client("unknown client, or wrong secret"));
        }
        Ok(client)
    };
    let certificate = asked.call.peer.certificate.as_ref().map(|der| sha256(der));
    let method_is = |client: &Option<Client>, method: &[&str]| {
        let wanted = client.as_ref().and_then(|c| c.token_endpoint_auth_method.as_deref());
        if wanted.is_none_or(|w| method.contains(&w)) {
            return Ok(());
        }
        let wanted = wanted.unwrap_or_default();
        Err(OAuthError::invalid_client(format!("this client is registered for {wanted}")))
    };
    match proof {
        Proof::Basic(presented) | Proof::Post(presented) => {
            let client = lookup(&presented.client_id)?;
            let name =
                if matches!(proof, Proof::Basic(_)) { "client_secret_basic" } else { "client_secret_post" };
            method_is(&client, &[name])?;
            let same = |a: &str, b: &str| verify_slices_are_equal(a.as_bytes(), b.as_bytes()).is_ok();
            if client.as_ref().is_some_and(|c| !same(c.secret.expose(), presented.secret.expose())) {
                return Err(OAuthError::invalid_client("unknown client, or wrong secret"));
            }
            Ok(Authenticated {
                client_id: presented.client_id.clone(),
                is_public: false,
                client,
                certificate,
                proven_key: None,
            })
        }
        Proof::Assertion(assertion) => {
            let client_id = crate::assertion::client_of(asked, assertion, &lookup)?;
            let client = lookup(&client_id)?;
            method_is(&client, &["client_secret_jwt", "private_key_jwt"])?;
            Ok(Authenticated { client_id, is_public: false, client, certificate, proven_key: None })
        }
        Proof::Certificate(der, id) => {
            let client = lookup(id)?;
            let is_public = client.as_ref().is_some_and(|c| {
                c.certificate_thumbprint.is_none() && c.tls_client_auth_subject_dn.is_none()
            });
            let right = client.as_ref().is_none_or(|c| certificate_fits(c, der));
            if !right {
                return Err(OAuthError::invalid_client("the certificate is not the one that is registered"));
            }
            Ok(Authenticated { client_id: id.clone(), is_public, client, certificate, proven_key: None })
        }
        Proof::Nothing(None) => Err(OAuthError::invalid_client("no client authentication")),
        Proof::Nothing(Some(id)) => {
            let client = lookup(id)?;
            method_is(&client, &["none"])?;
            if client.as_ref().is_some_and(|c| !c.secret.expose().is_empty()) {
                return Err(OAuthError::invalid_client("no client authentication"));
            }
            Ok(Authenticated {
                client_id: id.clone(),
                is_public: true,
                client,
                certificate,
                proven_key: None,
            })
        }
    }
}

/// RFC 8705 §2.1 and §2.2.
fn certificate_fits(client: &Client, der: &[u8]) -> bool {
    let thumbprint = client.certificate_thumbprint.as_deref().is_none_or(|wanted| wanted == sha256(der));
    let subject = client.tls_client_auth_subject_dn.as_deref().is_none_or(|wanted| {
        let parsed = x509_parser::parse_x509_certificate(der);
        parsed.is_ok_and(|(_, certificate)| certificate.subject().to_string() == wanted)
    });
    thumbprint && subject
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
