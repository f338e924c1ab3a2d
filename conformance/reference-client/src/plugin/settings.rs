//! From a saved data source to the client's own options: the settings of the Flight SQL data sources for Grafana.

use plugin_protocol::pluginv2::DataSourceInstanceSettings;
use serde_json::{Map, Value};

use crate::behaviour::{Behaviour, Defect};
use crate::failure::Failure;

/// Setting and option; those of `secureJsonData` are secret.
const PLAIN: [(&str, &str); 4] = [
    ("username", "username"),
    ("oauthIssuer", "oauth.issuer"),
    ("oauthClientId", "oauth.client_id"),
    ("oauthAudience", "oauth.audience"),
];
const SECRET: [(&str, &str); 3] =
    [("password", "password"), ("token", "token"), ("oauthClientSecret", "oauth.client_secret")];

/// The options of a data source. Empty and absent settings are not options; `false` in place of a text is what an older
/// editor saved for an empty one.
pub(crate) fn options(
    saved: &DataSourceInstanceSettings,
    ca: Option<&str>,
    behaviour: Behaviour,
) -> Result<Map<String, Value>, Failure> {
    let json = saved.json_data.trim_ascii();
    let json_data: Value = if json.is_empty() { Value::Null } else { read(json)? };
    if behaviour.has(Defect::StrictSettings) {
        strict(&json_data)?;
    }
    let text = |name: &str| json_data[name].as_str().filter(|text| !text.is_empty());
    let mut options = Map::new();
    let mut put = |name: &str, value: &str| options.insert(name.to_owned(), Value::from(value));
    let scheme = match &json_data["secure"] {
        Value::Bool(true) => "grpc+tls",
        Value::Bool(false) | Value::Null => "grpc",
        _ if behaviour.has(Defect::WrongTypesIgnored) => "grpc",
        _ => return Err(Failure::configuration("`secure` must be true or false")),
    };
    put("uri", &format!("{scheme}://{}", text("host").unwrap_or_default()));
    for (setting, option) in SECRET {
        if let Some(value) = saved.decrypted_secure_json_data.get(setting).filter(|v| !v.is_empty()) {
            put(option, value);
        }
    }
    if behaviour.has(Defect::SecretFromClear)
        && let Some(token) = text("token")
    {
        put("token", token);
    }
    match text("selectedAuthType") {
        None => {}
        Some("username/password") => drop(put("auth", "basic")),
        Some("oauth2" | "oauth2-client-credentials") => drop(put("auth", "oauth")),
        Some(other) => drop(put("auth", other)),
    }
    if json_data["enableUserAttribution"] == Value::Bool(false) {
        put("attribution", "off");
    }
    if let Some(ca) = ca {
        put("tls.ca", ca);
    }
    for (setting, option) in PLAIN {
        match &json_data[setting] {
            Value::Null | Value::Bool(false) => {}
            Value::String(empty) if empty.is_empty() => {}
            // Text, or what the client itself will refuse by its name.
            value => drop(options.insert(option.to_owned(), value.clone())),
        }
    }
    for row in json_data["metadata"].as_array().into_iter().flatten() {
        let pairs = row.as_object().into_iter().flatten();
        for (name, value) in pairs.filter(|(name, _)| !name.is_empty() && *name != "undefined") {
            let before = options.insert(format!("metadata.{name}"), value.clone());
            if before.is_some() {
                return Err(Failure::configuration(format!("`metadata` names `{name}` twice")));
            }
        }
    }
    Ok(options)
}

/// What `strict-settings` refuses.
fn strict(json_data: &Value) -> Result<(), Failure> {
    let strange = |name: &str| !matches!(&json_data[name], Value::Null | Value::String(_));
    let old =
        json_data["metadata"].as_array().into_iter().flatten().any(|row| row.get("undefined").is_some());
    match json_data["selectedAuthType"] == "oauth2-client-credentials" || old || strange("username") {
        true => Err(Failure::configuration("these settings were written by another editor")),
        false => Ok(()),
    }
}

fn read(json: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(json)
        .map_err(|error| Failure::configuration(format!("`jsonData` is not understood: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{Auth, Config};

    #[test]
    fn every_saved_shape_loads_or_is_refused_as_its_file_says() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/grafana-settings");
        for entry in std::fs::read_dir(folder).expect("it is part of the repository") {
            let path = entry.expect("it can be listed").path();
            let text = std::fs::read_to_string(&path).expect("it can be read");
            let fixture: Value = serde_json::from_str(&text).expect("JSON");
            let secure = fixture["secureJsonData"].as_object().expect("an object").iter();
            let saved = DataSourceInstanceSettings {
                json_data: fixture
                    .get("jsonData")
                    .map_or_else(Vec::new, |json| json.to_string().into_bytes()),
                decrypted_secure_json_data: secure
                    .map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()))
                    .collect(),
                ..DataSourceInstanceSettings::default()
            };
            let config = options(&saved, None, Behaviour::default())
                .and_then(|native| Config::read(native, Behaviour::default()));
            let outcome = match config.as_ref().map(|config| &config.auth) {
                Ok(Auth::None) => "none",
                Ok(Auth::Token(_)) => "token",
                Ok(Auth::Basic { .. }) => "basic",
                Ok(Auth::OAuth(_)) => "oauth",
                Err(_) => "refused",
            };
            assert_eq!(outcome, fixture["outcome"], "{}: {:?}", path.display(), config.err());
        }
    }

    #[track_caller]
    fn check(json_data: &str, secure: &[(&str, &str)], expected: Value) {
        let secure = secure.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let saved = DataSourceInstanceSettings {
            json_data: json_data.as_bytes().to_vec(),
            decrypted_secure_json_data: secure,
            ..DataSourceInstanceSettings::default()
        };
        assert_eq!(
            Value::Object(options(&saved, None, Behaviour::default()).expect("they can be read")),
            expected
        );
    }

    #[test]
    fn what_editors_of_all_ages_saved_is_understood() {
        check(
            r#"{"host":"h:1","secure":true,"selectedAuthType":"token","username":"","metadata":[{"":""}]}"#,
            &[("token", "T"), ("password", "")],
            json!({"uri": "grpc+tls://h:1", "token": "T", "auth": "token"}),
        );
        check(
            r#"{"host":"h:1","username":false,"metadata":[{"database":"db"},{"undefined":""}]}"#,
            &[],
            json!({"uri": "grpc://h:1", "metadata.database": "db"}),
        );
        check("null", &[], json!({"uri": "grpc://"}));
        check("", &[], json!({"uri": "grpc://"}));
        let oauth = |name: &str| format!(r#"{{"host":"h:1","selectedAuthType":"{name}","oauthIssuer":"I"}}"#);
        for name in ["oauth2", "oauth2-client-credentials"] {
            let expected = json!({"uri": "grpc://h:1", "oauth.issuer": "I", "auth": "oauth"});
            check(&oauth(name), &[], expected);
        }
    }
}
