//! From a session's settings to the client's own options: an absent key is not rendered.

use std::collections::BTreeMap;

use scenario_model::manifest::Manifest;
use scenario_model::scenario::{Auth, IssuerForm, Others, Session};
use serde_json::Value;

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
    let mut options = BTreeMap::new();
    let mut put = |key: &str, value: &str| {
        if let Some(option) = manifest.options.get(key) {
            let template = option.plaintext.as_ref().filter(|_| facts.plaintext).or(option.value.as_ref());
            let value = match template {
                None => Value::from(value),
                Some(Value::String(text)) => Value::from(
                    text.replace("{value}", value)
                        .replace("{host}", "127.0.0.1")
                        .replace("{port}", &facts.server_port.to_string()),
                ),
                Some(other) => other.clone(),
            };
            options.insert(option.native.clone(), value);
        }
    };
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
            Auth::Basic => {
                put("basic.username", &facts.username);
                put("basic.password", &facts.password);
            }
            Auth::None => {}
        }
    }
    match session.attribution {
        Some(true) => put("attribution.on", "on"),
        Some(false) => put("attribution.off", "off"),
        None => {}
    }
    for (name, value) in &manifest.trust.option {
        options.insert(name.clone(), Value::from(ca.fill(value)));
    }
    options
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
}
