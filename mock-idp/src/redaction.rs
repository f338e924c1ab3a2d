//! What is shown without secrets: the record, and what is wrong with a configuration.

use serde_json::Value;

use crate::log::Exchange;

const REDACTED: &str = "[redacted]";

/// Names of parameters and members whose value is a secret, in small letters without `_` and `-`.
const SECRET: [&str; 19] = [
    "accesstoken",
    "actortoken",
    "admintoken",
    "apikey",
    "assertion",
    "clientassertion",
    "clientsecret",
    "code",
    "codeverifier",
    "devicecode",
    "idtoken",
    "idtokenhint",
    "logouttoken",
    "password",
    "refreshtoken",
    "registrationaccesstoken",
    "secret",
    "subjecttoken",
    "token",
];

fn is_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    SECRET.contains(&plain.as_str()) || plain.ends_with("secret") || plain.ends_with("password")
}

/// Headers that carry credentials, standard or not (`X-Api-Key`, `X-Auth-Token`).
fn is_secret_header(name: &str) -> bool {
    const STANDARD: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "dpop"];
    const PARTS: [&str; 7] = ["api-key", "apikey", "token", "secret", "password", "credential", "x-auth"];
    let name = name.to_ascii_lowercase();
    STANDARD.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part))
}

impl Exchange {
    /// The same without secrets and tokens.
    pub fn redacted(&self) -> Self {
        let mut exchange = self.clone();
        for (name, value) in exchange.request_headers.iter_mut().chain(&mut exchange.response_headers) {
            if is_secret_header(name) {
                let scheme = value
                    .split(' ')
                    .next()
                    .filter(|s| s.len() < value.len() && name.ends_with("authorization"));
                *value = scheme.map_or_else(|| REDACTED.to_owned(), |s| format!("{s} {REDACTED}"));
            } else if matches!(name.as_str(), "location" | "referer") {
                *value = url(value);
            }
        }
        exchange.request_body = body(&exchange.request_body);
        exchange.response_body = body(&exchange.response_body);
        exchange.path = url(&exchange.path);
        exchange
    }
}

/// JSON, a page or a form.
fn body(text: &str) -> String {
    if let Ok(mut value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        json(&mut value);
        return value.to_string();
    }
    match text.trim_start().chars().next() {
        // Half a document, or one that was made wrong on purpose: where its secrets end, nobody knows.
        Some('{' | '[' | '\u{feff}') if names_a_secret(text) => REDACTED.to_owned(),
        Some('<') => page(text),
        _ => form(text),
    }
}

fn names_a_secret(text: &str) -> bool {
    text.split('"').any(is_secret)
}

fn json(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::Object(_) | Value::Array(_) => json(value),
                    Value::Null => {}
                    Value::Bool(_) | Value::Number(_) | Value::String(_) if is_secret(name) => {
                        *value = REDACTED.into();
                    }
                    Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(json),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The fields of a form that goes by way of the browser (`response_mode=form_post`).
fn page(text: &str) -> String {
    let field = regex_lite::Regex::new("name=\"([^\"]*)\" value=\"([^\"]*)\"").expect("it is one");
    let shown = |found: &regex_lite::Captures<'_>| {
        let value = if is_secret(&found[1]) { REDACTED } else { &found[2] };
        format!("name=\"{}\" value=\"{value}\"", &found[1])
    };
    field.replace_all(text, shown).into_owned()
}

fn form(text: &str) -> String {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_secret(&decoded(name)) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    };
    text.split('&').map(pair).collect::<Vec<_>>().join("&")
}

fn decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(name.trim()).decode_utf8_lossy().into_owned()
}

/// Query and fragment of a URL, or of a path.
fn url(text: &str) -> String {
    let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, f)| (rest, Some(f)));
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, q)| (path, Some(q)));
    let query = query.map(|q| format!("?{}", form(q))).unwrap_or_default();
    let fragment = fragment.map(|f| format!("#{}", form(f))).unwrap_or_default();
    format!("{path}{query}{fragment}")
}

/// A message about a configuration file without the values whose keys are secrets.
pub(crate) fn without_values(text: &str, message: &str) -> String {
    let pattern = "(?i)([a-z_-]+)[\"']?\\s*[:=]\\s*(\"[^\"\n]*\"?|'[^'\n]*'?|[^\\s,}\\]\"']+)";
    let member = regex_lite::Regex::new(pattern).expect("it is one");
    // `d` and `k` hold the secret of a private JWK.
    let secret = |key: &str| (is_secret(key) && !matches!(key, "code" | "token")) || matches!(key, "d" | "k");
    let found = member.captures_iter(text).filter(|c| secret(&c[1]));
    let mut values: Vec<String> = found.map(|c| c[2].trim_matches(['"', '\'']).to_owned()).collect();
    values.sort_by_key(|v| std::cmp::Reverse(v.len()));
    let shown = |message: String, value: &String| match value.len() {
        0 => message,
        // What is so short stands in other words, too.
        1..4 => ['"', '\'', '`'].iter().fold(message, |m, quote| {
            m.replace(&format!("{quote}{value}{quote}"), &format!("{quote}{REDACTED}{quote}"))
        }),
        _ => message.replace(value, REDACTED),
    };
    let message = values.iter().fold(message.to_owned(), shown);
    // What the parser shows of the file: short values and those that go over lines.
    let line = |line: &str| match member.captures_iter(line).find(|c| secret(&c[1])) {
        Some(found) if line.trim_start().starts_with(|c: char| c.is_ascii_digit()) && line.contains('|') => {
            let at = found.get(2).map_or(line.len(), |m| m.start());
            format!("{}{REDACTED}", &line[..at])
        }
        _ => line.to_owned(),
    };
    message.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exchange: &Exchange, hidden: &[&str], shown: &[&str]) {
        let text = format!("{:?}", exchange.redacted());
        for secret in hidden {
            assert!(!text.contains(secret), "{text}\nshows {secret}");
        }
        for part in shown {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
    }

    fn with_body(body: &str) -> Exchange {
        Exchange { request_body: body.to_owned(), ..Exchange::default() }
    }

    #[test]
    fn secrets_are_redacted_wherever_they_are() {
        let exchange = Exchange {
            path: "/token?client_secret=s3".to_owned(),
            request_headers: vec![("authorization".to_owned(), "Basic czM=".to_owned())],
            request_body: "grant_type=client_credentials&client_secret=s3".to_owned(),
            response_body: r#"{"access_token":"s3","expires_in":1}"#.to_owned(),
            ..Exchange::default()
        };
        check(&exchange, &["s3", "czM="], &["client_credentials", "Basic [redacted]"]);
    }

    #[test]
    fn forms_are_redacted_whatever_the_case_of_their_names() {
        check(
            &with_body("token=s3&token_type_hint=access_token"),
            &["s3"],
            &["token_type_hint=access_token"],
        );
        check(&with_body("Client_Secret=s3&PASSWORD=s3&client%5Fsecret=s3&client_id=a"), &["s3"], &["=a"]);
        check(&with_body("code=s3&redirect_uri=x&code_verifier=s3"), &["s3"], &["redirect_uri=x"]);
    }

    #[test]
    fn json_is_redacted_at_any_depth_and_where_it_ends_too_early() {
        check(
            &with_body(r#"{"client_secret":"s3","a":[{"Password":"s3"}],"b":1}"#),
            &["s3"],
            &[r#"\"b\":1"#],
        );
        check(&with_body(r#"{"token": "s3", "b"#), &["s3"], &[]);
        check(&with_body(r#"{"error": "x", "b"#), &[], &["error"]);
    }

    #[test]
    fn headers_like_keys_and_addresses_with_codes_are_redacted() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let exchange = Exchange {
            request_headers: vec![
                header("x-api-key", "s3"),
                header("x-auth-token", "s3"),
                header("accept", "a/b"),
            ],
            response_headers: vec![header("location", "http://cb/?code=s3&state=st#id_token=s3")],
            response_body: r#"<input type="hidden" name="code" value="s3"><input name="state" value="st2">"#
                .to_owned(),
            ..Exchange::default()
        };
        check(&exchange, &["s3"], &["a/b", "state=st", "st2"]);
    }

    #[test]
    fn messages_about_files_do_not_show_values_of_secrets() {
        let text = "clients = [{ id = \"web\", secret = 123, oops = 1 }]\nadmin_token = \"s3cr3t";
        let message = "line 1\n1 | clients = [{ id = \"web\", secret = 123, oops = 1 }]\n  | ^\ninvalid type: integer `123` or `s3cr3t`";
        let shown = without_values(text, message);
        assert!(!shown.contains("123") && !shown.contains("s3cr3t") && shown.contains("web"), "{shown}");
    }
}
