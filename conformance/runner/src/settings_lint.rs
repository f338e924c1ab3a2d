//! What will break in saved data sources of the Flight SQL plugins: a pure look at their settings, nothing is contacted.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// One thing that will break, or be seen by whom it should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable name, for lists of exceptions.
    pub code: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

/// The settings of one data source.
#[derive(Debug, Clone, Default)]
pub struct Saved {
    /// Its name.
    pub name: String,
    json_data: Map<String, Value>,
    secure: Map<String, Value>,
    /// The file holds the secrets themselves: a provisioning file.
    holds_secrets: bool,
}

/// Fields that are texts, in `jsonData`.
const TEXTS: [&str; 7] =
    ["host", "selectedAuthType", "username", "oauthIssuer", "oauthClientId", "oauthAudience", "database"];
const BOOLS: [&str; 2] = ["secure", "enableUserAttribution"];
const SECRETS: [&str; 3] = ["token", "password", "oauthClientSecret"];
/// What belongs to each method: in `jsonData`, in `secureJsonData`.
const METHODS: [(&str, &[&str], &[&str]); 3] = [
    ("token", &[], &["token"]),
    ("username/password", &["username"], &["password"]),
    ("oauth2", &["oauthIssuer", "oauthClientId"], &["oauthClientSecret"]),
];

impl Saved {
    /// All Flight SQL data sources of an export (one, or a list) or of a provisioning file (`datasources`).
    pub fn all_of(document: &Value) -> Vec<Self> {
        let list = match document {
            Value::Array(list) => list.as_slice(),
            Value::Object(object) => match object.get("datasources") {
                Some(Value::Array(list)) => list.as_slice(),
                _ => std::slice::from_ref(document),
            },
            _ => &[],
        };
        list.iter().filter_map(Self::of).collect()
    }

    fn of(one: &Value) -> Option<Self> {
        let object = |name: &str| one[name].as_object().cloned();
        let json_data = object("jsonData").unwrap_or_default();
        let kind = one["type"].as_str().unwrap_or_default();
        let is_ours = kind.contains("flightsql")
            || kind.contains("flight-sql")
            || json_data.contains_key("selectedAuthType");
        let name = one["name"].as_str().unwrap_or("(without a name)").to_owned();
        let mut saved = Self { name, json_data, ..Self::default() };
        match (object("secureJsonData"), object("secureJsonFields")) {
            (Some(secrets), _) => (saved.secure, saved.holds_secrets) = (secrets, true),
            (None, Some(set)) => saved.secure = set,
            (None, None) => {}
        }
        is_ours.then_some(saved)
    }

    fn text(&self, name: &str) -> &str {
        self.json_data.get(name).and_then(Value::as_str).map_or("", str::trim)
    }

    /// Set: a text that is not blank, or `true` in an export, which does not hold the secret itself.
    fn has_secret(&self, name: &str) -> bool {
        match self.secure.get(name) {
            Some(Value::Bool(set)) => *set,
            Some(Value::String(text)) => !text.trim().is_empty(),
            _ => false,
        }
    }

    fn method(&self) -> &str {
        match self.text("selectedAuthType") {
            "oauth2-client-credentials" => "oauth2",
            other => other,
        }
    }
}

/// Everything that is wrong with a data source.
pub fn lint(saved: &Saved) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |code, text: String| problems.push(Problem { code, text });
    if !saved.text("host").contains(':') {
        say("no-host", "`host` is not `host:port`: the plugin cannot connect".into());
    }
    types(saved, &mut say);
    secrets(saved, &mut say);
    method(saved, &mut say);
    headers(saved, &mut say);
    problems
}

fn types(saved: &Saved, say: &mut impl FnMut(&'static str, String)) {
    let wrong = |names: &[&'static str], fits: fn(&Value) -> bool| {
        let found =
            names.iter().filter(|name| saved.json_data.get(**name).is_some_and(|v| !v.is_null() && !fits(v)));
        found.copied().collect::<Vec<_>>()
    };
    for name in wrong(&TEXTS, Value::is_string) {
        say("wrong-type", format!("`{name}` must be text: a typed reader refuses the whole data source"));
    }
    for name in wrong(&BOOLS, Value::is_boolean) {
        say("wrong-type", format!("`{name}` must be true or false, without quotes"));
    }
}

fn secrets(saved: &Saved, say: &mut impl FnMut(&'static str, String)) {
    for name in SECRETS {
        if !saved.text(name).is_empty() {
            let text =
                "is in `jsonData`, which every viewer can read: move it to `secureJsonData` and replace it";
            say("secret-in-clear", format!("`{name}` {text}"));
        }
    }
    for (name, value) in saved.secure.iter().filter(|_| saved.holds_secrets) {
        let literal =
            value.as_str().is_some_and(|v| !v.trim().is_empty() && !v.trim_start().starts_with('$'));
        if literal {
            let text = "stands in this file: use `$VARIABLE` or `$__file{/path}`";
            say("secret-in-file", format!("`{name}` {text}"));
        }
    }
}

fn method(saved: &Saved, say: &mut impl FnMut(&'static str, String)) {
    let chosen = saved.method();
    if !matches!(chosen, "" | "none") && !METHODS.iter().any(|(name, ..)| *name == chosen) {
        let known = "`none`, `token`, `username/password` or `oauth2`";
        say("unknown-method", format!("`selectedAuthType` is `{chosen}`: expected {known}"));
    }
    if chosen == "oauth2" && saved.json_data.get("secure") != Some(&Value::Bool(true)) {
        say("oauth-without-tls", "`secure` is not on: tokens cross the network in clear".into());
    }
    for (name, plain, secret) in METHODS {
        let plain_set = plain.iter().filter(|field| !saved.text(field).is_empty());
        let set: Vec<&str> =
            plain_set.chain(secret.iter().filter(|s| saved.has_secret(s))).copied().collect();
        let missing: Vec<String> = plain
            .iter()
            .chain(secret)
            .filter(|field| !set.contains(field))
            .map(|field| format!("`{field}`"))
            .collect();
        if name == chosen && !missing.is_empty() {
            let code = match name {
                "oauth2" => "partial-oauth",
                "token" => "incomplete-token",
                _ => "incomplete-basic",
            };
            say(code, format!("{name} is chosen, but {} is missing", missing.join(", ")));
        }
        if name != chosen && !chosen.is_empty() && set.iter().any(|field| secret.contains(field)) {
            let fields: Vec<String> = set.iter().map(|field| format!("`{field}`")).collect();
            let text = "is left from another method: reset it, or a plugin may send two credentials";
            say("stale-field", format!("{} {text}", fields.join(", ")));
        }
    }
}

fn headers(saved: &Saved, say: &mut impl FnMut(&'static str, String)) {
    let rows = saved.json_data.get("metadata").and_then(Value::as_array);
    let mut seen = BTreeSet::new();
    for name in rows.into_iter().flatten().filter_map(Value::as_object).flat_map(Map::keys) {
        if name == "undefined" {
            say(
                "unnamed-header",
                "`metadata` has a row named `undefined`: an older editor's mistake, remove it".into(),
            );
        } else if !name.is_empty() && !seen.insert(name.to_lowercase()) {
            say(
                "duplicate-header",
                format!("`metadata` names `{name}` twice: a plugin refuses it or sends one of them"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use include_dir::{Dir, include_dir};
    use serde_json::json;

    use super::*;

    static FIXTURES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../fixtures/grafana-settings");

    fn codes(document: &Value) -> Vec<&'static str> {
        let all = Saved::all_of(document);
        assert_eq!(all.len(), 1, "{document}");
        let codes: BTreeSet<&str> = lint(&all[0]).into_iter().map(|p| p.code).collect();
        codes.into_iter().collect()
    }

    #[test]
    fn each_saved_shape_has_exactly_the_problems_that_it_names() {
        for file in FIXTURES.files() {
            let mut fixture: Value = serde_json::from_slice(file.contents()).expect("JSON");
            let set = |value: &Value| Value::Bool(value != "");
            let secrets = fixture["secureJsonData"].as_object().expect("an object").clone();
            let fields: Map<String, Value> = secrets.iter().map(|(k, v)| (k.clone(), set(v))).collect();
            // As an export has it: whether a secret is set, never the secret.
            let fixture = fixture.as_object_mut().expect("an object");
            fixture.remove("secureJsonData");
            fixture.insert("secureJsonFields".into(), fields.into());
            fixture.insert("type".into(), "x-flightsql-datasource".into());
            let mut expected: Vec<&str> =
                fixture["lint"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            expected.sort_unstable();
            assert_eq!(codes(&Value::Object(fixture.clone())), expected, "{}", file.path().display());
        }
    }

    #[test]
    fn a_secret_in_a_provisioning_file_is_found_unless_it_is_a_variable() {
        let file = |token: &str| {
            json!({"apiVersion": 1, "datasources": [
                {"name": "other", "type": "prometheus"},
                {"name": "a", "type": "x-flightsql-datasource",
                 "jsonData": {"host": "h:1", "secure": true, "selectedAuthType": "token"},
                 "secureJsonData": {"token": token}},
            ]})
        };
        assert_eq!(codes(&file("abc")), ["secret-in-file"]);
        assert!(codes(&file("$TOKEN")).is_empty() && codes(&file("$__file{/t}")).is_empty());
    }
}
