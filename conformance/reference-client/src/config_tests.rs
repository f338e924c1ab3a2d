//! What `open` accepts and refuses.

use serde_json::json;

use super::*;

fn read_with(extra: Value, behaviour: Behaviour) -> Result<Config, Failure> {
    let Value::Object(mut native) = json!({"uri": "grpc://127.0.0.1:1234"}) else {
        unreachable!("an object")
    };
    let Value::Object(extra) = extra else { panic!("the test's options are an object") };
    native.extend(extra);
    Config::read(native, behaviour)
}

fn refused(extra: Value, parts: &[&str]) {
    let failure = read_with(extra.clone(), Behaviour::default()).expect_err("refused");
    for part in parts {
        assert!(failure.message.contains(part), "{extra}: {failure} does not say `{part}`");
    }
}

fn accepted(extra: Value) -> Config {
    read_with(extra, Behaviour::default()).expect("accepted")
}

fn complete() -> Value {
    json!({"oauth.issuer": "https://issuer.test", "oauth.client_id": "id", "oauth.client_secret": "secret"})
}

fn complete_and(extra: Value) -> Value {
    let (Value::Object(mut all), Value::Object(extra)) = (complete(), extra) else { panic!("objects") };
    all.extend(extra);
    Value::Object(all)
}

#[test]
fn method_is_inferred_from_what_is_set() {
    assert!(matches!(accepted(json!({})).auth, Auth::None));
    assert!(matches!(accepted(json!({"oauth.audience": "api"})).auth, Auth::None));
    assert!(matches!(accepted(json!({"token": " t "})).auth, Auth::Token(token) if token.expose() == "t"));
    assert!(matches!(accepted(json!({"username": "u", "password": "p"})).auth, Auth::Basic { .. }));
    assert!(matches!(accepted(complete()).auth, Auth::OAuth(_)));
}

#[test]
fn explicit_method_wins_over_leftovers() {
    assert!(matches!(accepted(complete_and(json!({"auth": "none"}))).auth, Auth::None));
    let leftover = json!({"auth": "token", "token": "t", "oauth.client_secret": "left"});
    assert!(matches!(accepted(leftover.clone()).auth, Auth::Token(_)));
    read_with(leftover, Behaviour::with_defect(Defect::LeftoverBreaks)).expect_err("the defect refuses it");
}

#[test]
fn two_methods_without_a_choice_are_an_error_that_names_both() {
    refused(complete_and(json!({"token": "t"})), &["`oauth`", "`token`", "`auth`"]);
    refused(json!({"token": "t", "username": "u"}), &["`token`", "`basic`"]);
}

#[test]
fn every_missing_field_is_named_whether_absent_empty_or_blank() {
    let names = ["oauth.issuer", "oauth.client_id", "oauth.client_secret"];
    for rest in [Value::Null, json!(""), json!("  \t")] {
        for present in 1..7_u8 {
            let mut options = Map::new();
            let mut missing = Vec::new();
            for (bit, name) in names.iter().enumerate() {
                if present & (1 << bit) != 0 {
                    options.insert((*name).to_owned(), json!("https://set.test"));
                } else {
                    options.insert((*name).to_owned(), rest.clone());
                    missing.push(format!("`{name}`"));
                }
            }
            let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
            refused(Value::Object(options), &missing);
        }
    }
    refused(json!({"auth": "oauth"}), &["`oauth.issuer`", "`oauth.client_id`", "`oauth.client_secret`"]);
    refused(json!({"username": "u"}), &["`password`"]);
    refused(json!({"auth": "token"}), &["`token`"]);
}

#[test]
fn configuration_defects_do_what_their_names_say() {
    let partial = json!({"oauth.client_id": "id", "oauth.client_secret": " "});
    let degraded = read_with(partial, Behaviour::with_defect(Defect::DegradesToAnonymous)).expect("accepted");
    assert!(matches!(degraded.auth, Auth::None));
    let blank =
        json!({"oauth.issuer": "https://issuer.test", "oauth.client_id": " ", "oauth.client_secret": ""});
    read_with(blank, Behaviour::with_defect(Defect::IgnoresBlank)).expect("accepted");
    let both = complete_and(json!({"auth": "oauth", "token": "t"}));
    let two = read_with(both, Behaviour::with_defect(Defect::TwoCredentials)).expect("accepted");
    assert_eq!(two.second.expect("a second value").expose(), "Bearer t");
}

#[test]
fn wrong_names_and_types_are_named() {
    refused(json!({"oauth.isuer": "x"}), &["`oauth.isuer`", "did you mean `oauth.issuer`?"]);
    refused(json!({"token": true}), &["`token`", "a boolean"]);
    refused(json!({"oauth.client_id": 7}), &["`oauth.client_id`", "a number"]);
    refused(json!({"auth": "magic"}), &["`auth`", "`basic`"]);
    refused(json!({"attribution": "yes"}), &["`attribution`", "`off`"]);
    refused(json!({"tls.ca": "/does/not/exist.pem"}), &["`tls.ca`", "/does/not/exist.pem"]);
}

#[test]
fn addresses_are_checked() {
    for (uri, why) in [
        ("grpc://127.0.0.1", "port is missing"),
        ("grpc://127.0.0.1:99999", "invalid port"),
        ("http://127.0.0.1:1", "grpc+tls://"),
        ("grpc://127.0.0.1:1/path", "nothing may follow"),
        ("127.0.0.1:1", "uri"),
        ("", "missing `uri`"),
    ] {
        refused(json!({"uri": uri}), &[why]);
    }
    refused(json!({"uri": "grpc://me:hunter2@127.0.0.1:1"}), &["must not hold credentials"]);
    assert!(accepted(json!({"uri": "grpc+tls://[::1]:1"})).target.secure);
    refused(complete_and(json!({"oauth.issuer": "issuer.test"})), &["`oauth.issuer`", "absolute"]);
    refused(complete_and(json!({"oauth.token_url": "ftp://issuer.test/"})), &["`oauth.token_url`"]);
}

#[test]
fn custom_metadata_cannot_override_the_clients_own_headers() {
    for name in ["authorization", "Authorization", "x-user-id", "X-User-Anything", "x-org-id"] {
        let mut options = Map::new();
        options.insert(format!("metadata.{name}"), json!("v"));
        refused(Value::Object(options), &[name]);
    }
    refused(json!({"metadata.X-A": "1", "metadata.x-a": "2"}), &["twice"]);
    refused(json!({"metadata.x a": "1"}), &["not a header name"]);
    assert_eq!(accepted(json!({"metadata.x-a": "1", "metadata.": ""})).headers.len(), 1);
}

#[test]
fn plaintext_and_plain_http_are_warned_about() {
    let warnings = accepted(complete_and(json!({"oauth.issuer": "http://issuer.test"}))).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(accepted(json!({})).warnings.is_empty());
}
