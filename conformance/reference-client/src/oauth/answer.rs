//! The token endpoint's answer (RFC 6749 §5): a token with its lifetime, or why there is none.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
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
    /// Used by the defect `uses-refresh-token` only.
    pub(crate) refresh: Option<Secret>,
}

/// U+FEFF, which an issuer may put before its JSON and a reader may ignore (RFC 8259 §8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// What an answer of the grant may hold.
const MEMBERS: [&str; 4] = ["access_token", "token_type", "expires_in", "scope"];

/// Reads the whole answer. The error texts may still hold what the issuer echoed: they pass the redactor later.
pub(crate) fn read(status: StatusCode, body: &[u8], behaviour: Behaviour) -> Result<Granted, Failure> {
    let marked = body.strip_prefix(BYTE_ORDER_MARK).filter(|_| !behaviour.has(Defect::ByteOrderMarkFails));
    let object = match members(marked.unwrap_or(body), behaviour) {
        Ok(object) => object,
        Err(error) if behaviour.has(Defect::ParserError) => return Err(failure(error.to_string())),
        Err(_) if status == StatusCode::OK => {
            return Err(failure("the token endpoint's answer is not a JSON object"));
        }
        Err(_) => return Err(failure(format!("the token endpoint answered with status {status}"))),
    };
    let no_token = Granted { value: Secret::new(""), lifetime: UNKNOWN_LIFETIME, refresh: None };
    if let Some(error) = error_of(&object, behaviour) {
        if behaviour.has(Defect::AcceptsErrorBody) && status == StatusCode::OK {
            return Ok(no_token);
        }
        let who =
            if is_invalid_client(status, body) { "refused the client's authentication" } else { "answered" };
        return Err(failure(format!("the token endpoint {who} with status {}: {error}", status.as_u16())));
    }
    if status != StatusCode::OK && !behaviour.has(Defect::IgnoresStatus) {
        return Err(failure(format!("the token endpoint answered with status {status}")));
    }
    check_type(object.get("token_type"), behaviour)?;
    if behaviour.has(Defect::StrictMembers)
        && let Some(unknown) = object.keys().find(|name| !MEMBERS.contains(&name.as_str()))
    {
        return Err(failure(format!("the answer has a member that is not known: `{unknown}`")));
    }
    let value = match object.get("access_token") {
        Some(Value::String(value)) if value.is_empty() && behaviour.has(Defect::AcceptsEmptyToken) => {
            return Ok(no_token);
        }
        Some(Value::String(value)) if value.is_empty() => return Err(failure("the `access_token` is empty")),
        Some(Value::String(value)) if is_visible_ascii(value) => usable(value, behaviour)?,
        Some(Value::String(value)) if behaviour.has(Defect::StripsUnprintable) => {
            Secret::new(value.chars().filter(char::is_ascii_graphic).collect::<String>())
        }
        Some(Value::String(_)) => {
            return Err(failure("the `access_token` has characters that cannot stand in a header"));
        }
        Some(_) => return Err(failure("the `access_token` is not text")),
        None => return Err(failure("the answer has no `access_token`")),
    };
    let mut lifetime = lifetime(object.get("expires_in"), behaviour)?;
    if behaviour.has(Defect::TrustsJwtExpiry) {
        lifetime = of_jwt(value.expose()).unwrap_or(lifetime);
    }
    let refresh = object.get("refresh_token").filter(|_| behaviour.has(Defect::UsesRefreshToken));
    Ok(Granted { value, lifetime, refresh: refresh.and_then(Value::as_str).map(Secret::new) })
}

/// The members of the answer; of two with the same name the last counts.
fn members(body: &[u8], behaviour: Behaviour) -> Result<Map<String, Value>, serde_json::Error> {
    if behaviour.has(Defect::FirstMemberWins) {
        return serde_json::from_slice(body).map(|FirstWins(members)| members);
    }
    serde_json::from_slice(body)
}

/// The members of an object, of which the first `access_token` counts, as the defect `first-member-wins` wants it.
struct FirstWins(Map<String, Value>);

impl<'de> Deserialize<'de> for FirstWins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = FirstWins;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FirstWins, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if name != "access_token" || !members.contains_key(&name) {
                        members.insert(name, value);
                    }
                }
                Ok(FirstWins(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A token of a type that is not understood is not used (RFC 6749 §7.1).
fn check_type(token_type: Option<&Value>, behaviour: Behaviour) -> Result<(), Failure> {
    let Some(token_type) = token_type.filter(|token_type| !token_type.is_null()) else {
        return match behaviour.has(Defect::NeedsTokenType) {
            true => Err(failure("the answer has no `token_type`")),
            false => Ok(()),
        };
    };
    let known = token_type.as_str().is_some_and(|name| match behaviour.has(Defect::TypeCaseSensitive) {
        true => name == "Bearer",
        false => name.eq_ignore_ascii_case("bearer"),
    });
    if known || behaviour.has(Defect::AcceptsAnyType) {
        return Ok(());
    }
    Err(failure("the token endpoint's `token_type` is not `Bearer`"))
}

/// The token as it came, which is opaque (RFC 6749 §1.4), but for what defects do to it.
fn usable(value: &str, behaviour: Behaviour) -> Result<Secret, Failure> {
    if behaviour.has(Defect::NeedsJwt) && value.split('.').count() != 3 {
        return Err(failure("the `access_token` is not a JWT"));
    }
    let cut = behaviour.has(Defect::CutsLongToken);
    Ok(Secret::new(if cut { value.chars().take(4000).collect() } else { value.to_owned() }))
}

/// How long a JWT lives by its own words; for the defect `trusts-jwt-expiry`.
fn of_jwt(token: &str) -> Option<Duration> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64()? - claims.get("iat")?.as_f64()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The error member, with what the issuer says about it; Okta's own shape counts too.
fn error_of(object: &Map<String, Value>, behaviour: Behaviour) -> Option<String> {
    if behaviour.has(Defect::ErrorCodeOnly) {
        return object.get("error").and_then(Value::as_str).map(str::to_owned);
    }
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
    if seconds.fract() != 0.0 && behaviour.has(Defect::FractionExpiresFails) {
        return Err(failure("the answer's `expires_in` is not a whole number"));
    }
    if seconds > f64::from(i32::MAX) && behaviour.has(Defect::HugeExpiresFails) {
        return Err(failure("the answer's `expires_in` is too large"));
    }
    if seconds > f64::from(i32::MAX) && behaviour.has(Defect::HugeExpiresWraps) {
        return Ok(Duration::ZERO);
    }
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
