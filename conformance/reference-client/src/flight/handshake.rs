//! Username and password: a Handshake call whose answer holds a bearer token.

use std::time::Duration;

use arrow_flight::HandshakeRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::Connection;
use crate::behaviour::{Behaviour, Defect};
use crate::config::is_visible_ascii;
use crate::failure::{Class, Failure, within};
use crate::secret::Secret;

const LIMIT: Duration = Duration::from_secs(10);

/// The `authorization` value of RFC 7617.
pub(crate) fn basic_value(username: &str, password: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("{username}:{}", password.expose()))))
}

/// Logs in; the token comes in the answer's header or trailer, anything else is an error.
pub(crate) async fn log_in(
    connection: &Connection,
    authorization: Secret,
    custom: MetadataMap,
    behaviour: Behaviour,
) -> Result<Secret, Failure> {
    let limit = (!behaviour.has(Defect::NoTimeout)).then_some(LIMIT);
    within(limit, "the handshake", async {
        let mut request = tonic::Request::new(futures::stream::iter([HandshakeRequest::default()]));
        *request.metadata_mut() = custom;
        request.metadata_mut().insert("authorization", authorization_value(&authorization)?);
        let response = connection.flight().handshake(request).await;
        let response = response.map_err(|status| {
            let mut failure = Failure::rpc("the handshake", &status);
            if behaviour.has(Defect::CredentialInError) {
                failure.message = format!("{} (authorization: {})", failure.message, authorization.expose());
            }
            failure
        })?;
        let header = bearer(response.metadata());
        let mut answers = response.into_inner();
        while answers.message().await.map_err(|status| Failure::rpc("the handshake", &status))?.is_some() {}
        if let Some(token) = header {
            return Ok(token);
        }
        let trailers = answers.trailers().await.map_err(|status| Failure::rpc("the handshake", &status))?;
        trailers
            .as_ref()
            .and_then(bearer)
            .ok_or_else(|| Failure::new(Class::Handshake, "the handshake's answer holds no bearer token"))
    })
    .await
}

/// The text as a header value that is kept out of header tables and debug output.
pub(crate) fn authorization_value(text: &Secret) -> Result<MetadataValue<tonic::metadata::Ascii>, Failure> {
    let mut value = MetadataValue::try_from(text.expose()).map_err(|_| {
        Failure::new(Class::Token, "the credentials have characters that cannot stand in a header")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn bearer(metadata: &MetadataMap) -> Option<Secret> {
    let text = metadata.get("authorization")?.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && is_visible_ascii(token);
    usable.then(|| Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_of_visible_characters_counts() {
        let check = |text: &str, expected: Option<&str>| {
            let mut metadata = MetadataMap::new();
            metadata.insert("authorization", text.parse().expect("a header value"));
            assert_eq!(bearer(&metadata).as_ref().map(Secret::expose), expected, "{text}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer abc", Some("abc"));
        check("Basic abc", None);
        check("Bearer ", None);
        check("Bearer a b", None);
        assert!(bearer(&MetadataMap::new()).is_none());
    }
}
