//! Data sources as editors of all ages saved them: the fixtures, and what each says of itself.

use serde_json::Value;

use crate::scenario::Auth;

/// What stands for an option that is not there.
pub const ABSENT: &str = "<absent>";

const FILES: [(&str, &str); 24] = [
    ("duplicate-header", include_str!("../../../fixtures/grafana-settings/duplicate-header.json")),
    ("json-data-absent", include_str!("../../../fixtures/grafana-settings/json-data-absent.json")),
    ("json-data-null", include_str!("../../../fixtures/grafana-settings/json-data-null.json")),
    ("metadata-empty", include_str!("../../../fixtures/grafana-settings/metadata-empty.json")),
    ("metadata-null", include_str!("../../../fixtures/grafana-settings/metadata-null.json")),
    ("metadata-undefined", include_str!("../../../fixtures/grafana-settings/metadata-undefined.json")),
    ("none", include_str!("../../../fixtures/grafana-settings/none.json")),
    ("oauth", include_str!("../../../fixtures/grafana-settings/oauth.json")),
    ("oauth-attribution-off", include_str!("../../../fixtures/grafana-settings/oauth-attribution-off.json")),
    ("oauth-by-label", include_str!("../../../fixtures/grafana-settings/oauth-by-label.json")),
    (
        "oauth-with-leftover-token",
        include_str!("../../../fixtures/grafana-settings/oauth-with-leftover-token.json"),
    ),
    ("oauth-without-issuer", include_str!("../../../fixtures/grafana-settings/oauth-without-issuer.json")),
    ("oauth-without-secret", include_str!("../../../fixtures/grafana-settings/oauth-without-secret.json")),
    ("oauth-without-tls", include_str!("../../../fixtures/grafana-settings/oauth-without-tls.json")),
    ("password-only", include_str!("../../../fixtures/grafana-settings/password-only.json")),
    ("secure-is-a-string", include_str!("../../../fixtures/grafana-settings/secure-is-a-string.json")),
    ("token", include_str!("../../../fixtures/grafana-settings/token.json")),
    ("token-and-password", include_str!("../../../fixtures/grafana-settings/token-and-password.json")),
    ("token-in-clear", include_str!("../../../fixtures/grafana-settings/token-in-clear.json")),
    (
        "token-with-leftover-oauth-secret",
        include_str!("../../../fixtures/grafana-settings/token-with-leftover-oauth-secret.json"),
    ),
    ("unknown-method", include_str!("../../../fixtures/grafana-settings/unknown-method.json")),
    ("username-is-false", include_str!("../../../fixtures/grafana-settings/username-is-false.json")),
    ("username-only", include_str!("../../../fixtures/grafana-settings/username-only.json")),
    ("username-password", include_str!("../../../fixtures/grafana-settings/username-password.json")),
];

/// A data source as it was saved.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved(Value);

impl Saved {
    /// The fixture of this name.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = FILES.iter().find(|(known, _)| *known == name)?;
        Some(Self(serde_json::from_str(text).expect("the fixtures are tested")))
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        FILES.iter().map(|(name, _)| *name)
    }

    /// What was saved; nothing if nothing ever was.
    pub fn json_data(&self) -> Option<&Value> {
        self.0.get("jsonData")
    }

    /// The secrets.
    pub fn secrets(&self) -> &Value {
        &self.0["secureJsonData"]
    }

    /// The method that is chosen in it; none if that is not one.
    pub fn method(&self) -> Auth {
        match self.0["jsonData"]["selectedAuthType"].as_str() {
            Some("oauth2" | "oauth2-client-credentials") => Auth::Oauth,
            Some("token") => Auth::Token,
            Some("username/password") => Auth::Basic,
            _ => Auth::None,
        }
    }

    /// Methods whose secrets are in it, chosen or left over.
    pub fn methods(&self) -> impl Iterator<Item = Auth> {
        let set = |name: &str| self.secrets()[name].as_str().is_some_and(|secret| !secret.is_empty());
        [("oauthClientSecret", Auth::Oauth), ("token", Auth::Token), ("password", Auth::Basic)]
            .map(|(name, method)| set(name).then_some(method))
            .into_iter()
            .flatten()
    }

    /// It wants TLS.
    pub fn secure(&self) -> bool {
        self.0["jsonData"]["secure"] == true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixture_is_known_and_says_its_method() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/grafana-settings");
        let files = std::fs::read_dir(folder).expect("the fixtures");
        assert_eq!(files.count(), FILES.len());
        for name in Saved::names() {
            let saved = Saved::named(name).expect("it is there");
            let method = match saved.method() {
                Auth::Oauth => "oauth",
                Auth::Token => "token",
                Auth::Basic => "basic",
                Auth::None => "none",
            };
            let outcome = saved.0["outcome"].as_str().expect("a text");
            assert!(outcome == "refused" || outcome == method, "{name}");
            assert!(saved.secrets().is_object(), "{name}");
        }
    }
}
