//! From a session's settings to the client's own options: an absent key is not rendered.

use std::collections::BTreeMap;

use scenario_model::manifest::Manifest;
use scenario_model::manifest::NativeOption;
use scenario_model::saved::{ABSENT, Saved};
use scenario_model::scenario::{Auth, IssuerForm, Others, PortForm, Session};
use serde_json::{Map, Value};

/// What a session is given, under neutral names.
#[derive(Debug, Clone, Default)]
pub struct SessionFacts {
    /// Port of the session's own listener at the server.
    pub server_port: u16,
    /// The server has no TLS.
    pub plaintext: bool,
    /// The issuer as published.
    pub issuer: String,
    /// Its token endpoint.
    pub token_url: String,
    /// The client id.
    pub client_id: String,
    /// The secret that the client is given.
    pub client_secret: String,
    /// The secret that the issuer knows.
    pub registered_secret: String,
    /// For Handshake.
    pub username: String,
    /// For Handshake.
    pub password: String,
    /// The static token.
    pub token: String,
}

/// The throw-away CA's certificate as a subject may want it.
#[derive(Debug, Clone, Default)]
pub struct CaFile {
    /// Path of the PEM file: `{ca.pem}`.
    pub path: String,
    /// The PEM itself: `{ca.text}`.
    pub text: String,
}

impl CaFile {
    /// Fills both into a template.
    pub fn fill(&self, template: &str) -> String {
        template.replace("{ca.pem}", &self.path).replace("{ca.text}", &self.text)
    }
}

/// Native name to value.
pub type NativeOptions = BTreeMap<String, Value>;

/// The client's native options for a session.
pub fn native_options(
    manifest: &Manifest,
    session: &Session,
    facts: &SessionFacts,
    ca: &CaFile,
) -> NativeOptions {
    let mut options = match session.saved.as_deref().and_then(Saved::named) {
        Some(saved) => saved_options(&saved, facts),
        None => configured(manifest, session, facts),
    };
    for (name, value) in &manifest.trust.option {
        options.insert(name.clone(), Value::from(ca.fill(value)));
    }
    options
}

/// Neutral keys and values, then what is not as it should be, then the client's own names.
fn configured(manifest: &Manifest, session: &Session, facts: &SessionFacts) -> NativeOptions {
    let mut neutral: BTreeMap<String, Value> = BTreeMap::new();
    let mut put = |key: &str, value: &str| drop(neutral.insert(key.to_owned(), Value::from(value)));
    put("server.uri", "");
    put("server.tls", if facts.plaintext { "off" } else { "on" });
    let method = match session.auth {
        Auth::Oauth => "oauth",
        Auth::Token => "auth.token",
        Auth::Basic => "auth.basic",
        Auth::None => "auth.none",
    };
    put(method, "");
    for auth in std::iter::once(&session.auth).chain(&session.also) {
        match auth {
            Auth::Oauth => oauth(manifest, session, facts, &mut put),
            Auth::Token => put("token", &facts.token),
            Auth::Basic => basic(session, facts, &mut put),
            Auth::None => {}
        }
    }
    match session.attribution {
        Some(true) => put("attribution.on", "on"),
        Some(false) => put("attribution.off", "off"),
        None => {}
    }
    let mut options = NativeOptions::new();
    let changed = |key: &str| session.settings.iter().find(|setting| setting.key == key);
    for (key, value) in &neutral {
        if let (Some(option), None) = (manifest.options.get(key), changed(key)) {
            options.insert(option.native.clone(), native(option, value, session.port, facts));
        }
    }
    for setting in session.settings.iter().filter(|setting| setting.value != ABSENT) {
        let Some(option) = manifest.options.get(&setting.key) else { continue };
        let own = neutral.get(&setting.key).and_then(Value::as_str).unwrap_or_default();
        let value = match setting.value.as_str() {
            Some(text) if fits(option) => {
                native(option, &text.replace("{value}", own).into(), session.port, facts)
            }
            Some("{value}") => native(option, &Value::from(own), session.port, facts),
            _ => setting.value.clone(),
        };
        options.insert(option.native.clone(), value);
    }
    if let Some(option) = manifest.options.get("headers").filter(|_| !session.headers.is_empty()) {
        headers(option, session, &mut options);
    }
    options
}

/// A neutral value can show in the native one.
fn fits(option: &NativeOption) -> bool {
    option.value.as_ref().is_none_or(|value| value.as_str().is_some_and(|text| text.contains("{value}")))
}

fn native(option: &NativeOption, value: &Value, port: PortForm, facts: &SessionFacts) -> Value {
    let template = option.plaintext.as_ref().filter(|_| facts.plaintext).or(option.value.as_ref());
    let number = facts.server_port;
    let port = match port {
        PortForm::AsItIs => format!(":{number}"),
        PortForm::Absent => String::new(),
        PortForm::Empty => ":".to_owned(),
        PortForm::TooLarge => format!(":{}", u32::from(number) + (1 << 16)),
        PortForm::Negative => format!(":-{number}"),
        PortForm::Word => ":grpc".to_owned(),
    };
    match template {
        None => value.clone(),
        Some(Value::String(text)) => Value::from(
            text.replace("{value}", value.as_str().unwrap_or_default())
                .replace("{host}", "127.0.0.1")
                .replace(":{port}", &port)
                .replace("{port}", port.trim_start_matches(':')),
        ),
        Some(other) => other.clone(),
    }
}

/// One option for each header, or one list of them all, as the manifest says.
fn headers(option: &NativeOption, session: &Session, options: &mut NativeOptions) {
    let fill = |text: &str, name: &str, value: &str| text.replace("{name}", name).replace("{value}", value);
    let template = option.value.as_ref().and_then(Value::as_array).and_then(|list| list.first());
    match template {
        Some(template) => {
            let rows =
                session.headers.iter().map(|h| filled(template, &|text| fill(text, &h.name, &h.value)));
            options.insert(option.native.clone(), rows.collect());
        }
        None => {
            for header in &session.headers {
                let value = option.value.as_ref().and_then(Value::as_str).unwrap_or("{value}");
                let name = fill(&option.native, &header.name, "");
                options.insert(name, fill(value, &header.name, &header.value).into());
            }
        }
    }
}

/// The same value with each text, names of members included, as `fill` has it.
fn filled(value: &Value, fill: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => fill(text).into(),
        Value::Array(items) => items.iter().map(|item| filled(item, fill)).collect(),
        Value::Object(object) => Value::Object(
            object.iter().map(|(name, item)| (fill(name), filled(item, fill))).collect::<Map<_, _>>(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A saved data source, whole, with this session's values for those that stand in the fixtures.
fn saved_options(saved: &Saved, facts: &SessionFacts) -> NativeOptions {
    let fill = |text: &str| match text {
        "h:1" => format!("127.0.0.1:{}", facts.server_port),
        "https://issuer.example.test" => facts.issuer.clone(),
        "id" => facts.client_id.clone(),
        "S" => facts.client_secret.clone(),
        "T" => facts.token.clone(),
        "u" => facts.username.clone(),
        "p" => facts.password.clone(),
        other => other.to_owned(),
    };
    let json_data = saved.json_data().map(|value| ("jsonData".to_owned(), filled(value, &fill)));
    let secrets = ("secureJsonData".to_owned(), filled(saved.secrets(), &fill));
    json_data.into_iter().chain([secrets]).collect()
}

fn basic(session: &Session, facts: &SessionFacts, put: &mut impl FnMut(&str, &str)) {
    let settings = &session.basic;
    for (key, name, value) in
        [("basic.username", "username", &facts.username), ("basic.password", "password", &facts.password)]
    {
        match (settings.keep.as_deref().is_none_or(|kept| kept == name), settings.others) {
            (true, _) => put(key, value),
            (false, Some(Others::Empty)) => put(key, ""),
            (false, Some(Others::Blank)) => put(key, "  "),
            (false, Some(Others::Absent) | None) => {}
        }
    }
}

fn oauth(manifest: &Manifest, session: &Session, facts: &SessionFacts, put: &mut impl FnMut(&str, &str)) {
    let settings = &session.oauth;
    let kept = |field: &str| settings.keep.as_ref().is_none_or(|keep| keep.split('+').any(|k| k == field));
    let mut field = |key: &str, name: &str, value: &str| match (kept(name), settings.others) {
        (true, _) => put(key, value),
        (false, Some(Others::Empty)) => put(key, ""),
        (false, Some(Others::Blank)) => put(key, "  "),
        (false, Some(Others::Absent) | None) => {}
    };
    let by_discovery = manifest.declares.oauth.as_ref().is_some_and(|o| o.discovery);
    if by_discovery {
        field("oauth.issuer", "issuer", &issuer_form(&facts.issuer, settings.issuer_form));
    } else {
        field("oauth.token_url", "issuer", &facts.token_url);
    }
    field("oauth.client_id", "client_id", &facts.client_id);
    field("oauth.client_secret", "client_secret", &facts.client_secret);
    if let Some(scope) = &settings.scope {
        put("oauth.scope", scope);
    }
    if let Some(audience) = &settings.audience {
        put("oauth.audience", audience);
    }
}

fn issuer_form(issuer: &str, form: IssuerForm) -> String {
    let bare = issuer.trim_end_matches('/');
    match form {
        IssuerForm::AsPublished => issuer.to_owned(),
        IssuerForm::WithSlash => format!("{bare}/"),
        IssuerForm::WithoutSlash => bare.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
schema = 1
name = "x"
drive = "stdio"
command = ["x"]
[trust]
option = { ca = "{ca.pem}" }
[options]
"server.uri" = { native = "uri", value = "grpc+tls://{host}:{port}", plaintext = "grpc://{host}:{port}" }
oauth = { native = "auth", value = "oauth" }
"auth.token" = { native = "auth", value = "token" }
"oauth.issuer" = { native = "issuer" }
"oauth.client_id" = { native = "id" }
"oauth.client_secret" = { native = "secret", secret = true }
token = { native = "header", value = "Bearer {value}" }
headers = { native = "h.{name}" }
[declares]
oauth = { discovery = true }
tls = "optional"
"#;

    fn check(session: &str, expected: &[(&str, &str)]) {
        let manifest = Manifest::parse("subject.toml", MANIFEST).expect("a good manifest");
        let session: Session = serde_json::from_str(session).expect("a session");
        let facts = SessionFacts {
            server_port: 7,
            issuer: "https://i/".into(),
            client_id: "I".into(),
            client_secret: "S".into(),
            token: "T".into(),
            ..SessionFacts::default()
        };
        let found =
            native_options(&manifest, &session, &facts, &CaFile { path: "/ca".into(), text: String::new() });
        let found: Vec<(&str, &str)> =
            found.iter().map(|(k, v)| (k.as_str(), v.as_str().expect("text"))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn absent_empty_and_blank_are_three_things() {
        let rest = [("auth", "oauth"), ("ca", "/ca"), ("id", "I")];
        let uri = ("uri", "grpc+tls://127.0.0.1:7");
        let session =
            |others: &str| format!(r#"{{"id":"a","oauth":{{"keep":"client_id","others":"{others}"}}}}"#);
        check(&session("absent"), &[&rest[..], &[uri]].concat());
        check(&session("empty"), &[&rest[..], &[("issuer", ""), ("secret", ""), uri]].concat());
        check(&session("blank"), &[&rest[..], &[("issuer", "  "), ("secret", "  "), uri]].concat());
    }

    #[test]
    fn a_leftover_secret_is_rendered_beside_the_chosen_method() {
        check(
            r#"{"id":"a","auth":"token","also":["oauth"],"oauth":{"keep":"client_secret"}}"#,
            &[
                ("auth", "token"),
                ("ca", "/ca"),
                ("header", "Bearer T"),
                ("secret", "S"),
                ("uri", "grpc+tls://127.0.0.1:7"),
            ],
        );
    }

    #[test]
    fn what_is_not_as_it_should_be_replaces_what_is() {
        check(
            r#"{"id":"a","auth":"token","port":"too-large","headers":[{"name":"X","value":"v"}],
                "settings":[{"key":"token","value":" {value}"},{"key":"auth.token","value":"<absent>"},{"key":"oauth.issuer","value":""}]}"#,
            &[
                ("ca", "/ca"),
                ("h.X", "v"),
                ("header", "Bearer  T"),
                ("issuer", ""),
                ("uri", "grpc+tls://127.0.0.1:65543"),
            ],
        );
    }

    #[test]
    fn headers_can_be_one_list() {
        let list = r#"headers = { native = "rows", value = [{ "{name}" = "{value}" }] }"#;
        let text = MANIFEST.replace(r#"headers = { native = "h.{name}" }"#, list);
        let manifest = Manifest::parse("subject.toml", &text).expect("a good manifest");
        let session =
            r#"{"id":"a","auth":"none","headers":[{"name":"X","value":"1"},{"name":"x","value":"2"}]}"#;
        let session: Session = serde_json::from_str(session).expect("a session");
        let found = native_options(&manifest, &session, &SessionFacts::default(), &CaFile::default());
        assert_eq!(found["rows"], serde_json::json!([{"X": "1"}, {"x": "2"}]));
    }
}
