//! The token endpoint's answer (RFC 6749 §5): a token with its lifetime, or why there is none.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Map, Value};

use crate::behaviour::{Behaviour, Defect};
use crate::config::is_visible_ascii;
use crate::failure::{Class, Failure};
use crate::secret::Secret;

/// Without `expires_in`: neither a request per query nor a token for ever.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(60);
/// With an `expires_in` of zero or less: long enough for the calls of one query.
pub(crate) const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);
const LONGEST_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// What a successful answer grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) value: Secret,
    pub(crate) lifetime: Duration,
}

/// Reads the whole answer. The error texts may still hold what the issuer echoed: they pass the redactor later.
pub(crate) fn read(status: StatusCode, body: &[u8], behaviour: Behaviour) -> Result<Granted, Failure> {
    let object: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let Some(object) = object else {
        return Err(match status {
            StatusCode::OK => failure("the token endpoint's answer is not a JSON object"),
            _ => failure(format!("the token endpoint answered with status {status}")),
        });
    };
    let no_token = Granted { value: Secret::new(""), lifetime: UNKNOWN_LIFETIME };
    if let Some(error) = error_of(&object) {
        if behaviour.has(Defect::AcceptsErrorBody) && status == StatusCode::OK {
            return Ok(no_token);
        }
        let who =
            if is_invalid_client(status, body) { "refused the client's authentication" } else { "answered" };
        return Err(failure(format!("the token endpoint {who} with status {}: {error}", status.as_u16())));
    }
    if status != StatusCode::OK {
        return Err(failure(format!("the token endpoint answered with status {status}")));
    }
    if let Some(token_type) = object.get("token_type").filter(|token_type| !token_type.is_null())
        && !token_type.as_str().is_some_and(|name| name.eq_ignore_ascii_case("bearer"))
    {
        return Err(failure("the token endpoint's `token_type` is not `Bearer`"));
    }
    let value = match object.get("access_token") {
        Some(Value::String(value)) if value.is_empty() && behaviour.has(Defect::AcceptsEmptyToken) => {
            return Ok(no_token);
        }
        Some(Value::String(value)) if value.is_empty() => return Err(failure("the `access_token` is empty")),
        Some(Value::String(value)) if is_visible_ascii(value) => Secret::new(value),
        Some(Value::String(_)) => {
            return Err(failure("the `access_token` has characters that cannot stand in a header"));
        }
        Some(_) => return Err(failure("the `access_token` is not text")),
        None => return Err(failure("the answer has no `access_token`")),
    };
    Ok(Granted { value, lifetime: lifetime(object.get("expires_in"), behaviour)? })
}

/// The error member, with what the issuer says about it; Okta's own shape counts too.
fn error_of(object: &Map<String, Value>) -> Option<String> {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| object.get(name));
    let code = first(["error", "errorCode"]).filter(|code| !code.is_null())?;
    let code = code.as_str().unwrap_or("an error that is not text");
    let description = first(["error_description", "errorSummary"]).and_then(Value::as_str);
    Some(description.map_or(code.to_owned(), |description| format!("{code}: {description}")))
}

/// Whether the answer says that the client's authentication failed.
pub(crate) fn is_invalid_client(status: StatusCode, body: &[u8]) -> bool {
    let object: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    status == StatusCode::UNAUTHORIZED
        || object.is_some_and(|object| object.get("error").is_some_and(|error| error == "invalid_client"))
}

fn lifetime(expires_in: Option<&Value>, behaviour: Behaviour) -> Result<Duration, Failure> {
    let seconds = match expires_in {
        None | Some(Value::Null) => return Ok(UNKNOWN_LIFETIME),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) if !behaviour.has(Defect::StringExpiresFails) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let seconds = seconds
        .filter(|seconds: &f64| !seconds.is_nan())
        .ok_or_else(|| failure("the answer's `expires_in` is not a number of seconds"))?;
    if seconds <= 0.0 {
        let forever = behaviour.has(Defect::ZeroExpiresIsForever);
        return Ok(if forever { LONGEST_LIFETIME } else { SHORTEST_LIFETIME });
    }
    Ok(Duration::from_secs_f64(seconds.min(LONGEST_LIFETIME.as_secs_f64())))
}

fn failure(message: impl Into<String>) -> Failure {
    Failure::new(Class::Token, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(status: u16, body: &str, expected: Result<f64, &str>) {
        let status = StatusCode::from_u16(status).expect("a status");
        match (read(status, body.as_bytes(), Behaviour::default()), expected) {
            (Ok(found), Ok(seconds)) => assert_eq!(found.lifetime.as_secs_f64(), seconds, "{body}"),
            (Err(found), Err(part)) => assert!(found.message.contains(part), "{body}: {found}"),
            (found, expected) => panic!("{body}: {found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn lifetimes_in_every_shape_are_bounded() {
        let year = LONGEST_LIFETIME.as_secs_f64();
        for (expires_in, seconds) in [
            ("3600", 3600.0),
            ("\"3599\"", 3599.0),
            ("2.5", 2.5),
            ("\"2.5\"", 2.5),
            ("0", 1.0),
            ("-5", 1.0),
            ("null", 60.0),
            ("1099511627776", year),
            ("18446744073709551615", year),
            ("1e300", year),
        ] {
            check(
                200,
                &format!(r#"{{"access_token":"t","token_type":"bearer","expires_in":{expires_in}}}"#),
                Ok(seconds),
            );
        }
        check(200, r#"{"access_token":"t"}"#, Ok(60.0));
        check(200, r#"{"access_token":"t","expires_in":"soon"}"#, Err("`expires_in`"));
        check(200, r#"{"access_token":"t","expires_in":[1]}"#, Err("`expires_in`"));
    }

    #[test]
    fn answers_without_a_usable_token_are_errors() {
        check(200, r#"{"access_token":""}"#, Err("empty"));
        check(200, r#"{"access_token":"a\r\nb"}"#, Err("header"));
        check(200, r#"{"access_token":"é"}"#, Err("header"));
        check(200, r#"{"access_token":7}"#, Err("not text"));
        check(200, r#"{}"#, Err("no `access_token`"));
        check(200, r#"{"access_token":"t","token_type":"mac"}"#, Err("`token_type`"));
        check(200, r#"{"access_token":"t","error":"invalid_scope"}"#, Err("invalid_scope"));
        check(200, "<html>sign in</html>", Err("not a JSON object"));
        check(503, "busy", Err("503"));
        check(201, r#"{"access_token":"t"}"#, Err("201"));
        check(
            400,
            r#"{"errorCode":"E0000004","errorSummary":"Authentication failed"}"#,
            Err("Authentication failed"),
        );
    }

    #[test]
    fn each_defect_accepts_what_the_correct_client_refuses() {
        let with = |defect, body: &str| read(StatusCode::OK, body.as_bytes(), Behaviour::with_defect(defect));
        let empty = with(Defect::AcceptsEmptyToken, r#"{"access_token":""}"#).expect("accepted");
        assert_eq!(empty.value.expose(), "");
        with(Defect::AcceptsErrorBody, r#"{"error":"invalid_scope"}"#).expect("accepted");
        let forever =
            with(Defect::ZeroExpiresIsForever, r#"{"access_token":"t","expires_in":0}"#).expect("accepted");
        assert_eq!(forever.lifetime, LONGEST_LIFETIME);
        with(Defect::StringExpiresFails, r#"{"access_token":"t","expires_in":"60"}"#).expect_err("refused");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_panic_and_any_token_fits_a_header(
            token in any::<String>(), expires_in in any::<f64>(), status in 200_u16..600,
        ) {
            let body = serde_json::json!({"access_token": token, "expires_in": expires_in}).to_string();
            let status = StatusCode::from_u16(status).expect("a status");
            if let Ok(granted) = read(status, body.as_bytes(), Behaviour::default()) {
                prop_assert!(is_visible_ascii(granted.value.expose()) && !granted.value.expose().is_empty());
                prop_assert!(granted.lifetime <= LONGEST_LIFETIME && granted.lifetime > Duration::ZERO);
            }
        }
    }
}
