//! From native options to a saved data source, as Grafana hands it over.

use plugin_protocol::pluginv2::DataSourceInstanceSettings;
use serde_json::{Map, Value};

/// When all data sources were created, in milliseconds: a fresh id makes a fresh instance, and of one id each save is later.
const CREATED_MS: i64 = 1_700_000_000_000;

/// A data source, saved so many times, with the options in their places: `jsonData.a.b`, `secureJsonData.x`, or a field of
/// its own.
pub fn saved(id: i64, saves: u32, native: &Map<String, Value>) -> DataSourceInstanceSettings {
    let mut settings = DataSourceInstanceSettings {
        id,
        uid: uid(id),
        name: format!("flightcheck {id}"),
        last_updated_ms: CREATED_MS + i64::from(saves) * 1000,
        ..DataSourceInstanceSettings::default()
    };
    let mut json_data = Map::new();
    for (place, value) in native {
        match place.split_once('.') {
            Some(("jsonData", path)) => put(&mut json_data, path, value),
            Some(("secureJsonData", name)) => {
                settings.decrypted_secure_json_data.insert(name.to_owned(), text(value));
            }
            _ => field(&mut settings, place, value),
        }
    }
    settings.json_data = Value::Object(json_data).to_string().into_bytes();
    settings
}

/// How a data source is named in the plugin's log.
pub fn uid(id: i64) -> String {
    format!("fc-{id:06}")
}

fn put(object: &mut Map<String, Value>, path: &str, value: &Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value.clone());
        }
        Some((outer, rest)) => {
            let inner = object.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}

fn field(settings: &mut DataSourceInstanceSettings, name: &str, value: &Value) {
    match name {
        "url" => settings.url = text(value),
        "user" => settings.user = text(value),
        "database" => settings.database = text(value),
        "basicAuthUser" => settings.basic_auth_user = text(value),
        "basicAuthEnabled" => settings.basic_auth_enabled = value == &Value::Bool(true),
        _ => unreachable!("the manifest was checked"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_option_lands_in_its_place_with_its_type() {
        let native = json!({
            "jsonData.host": "h:1", "jsonData.secure": true, "jsonData.timeouts.query": 3,
            "secureJsonData.token": "T", "url": "http://h", "basicAuthEnabled": true,
        });
        let saved = saved(7, 1, native.as_object().expect("an object"));
        let json_data: Value = serde_json::from_slice(&saved.json_data).expect("JSON");
        assert_eq!(json_data, json!({"host": "h:1", "secure": true, "timeouts": {"query": 3}}));
        assert_eq!(saved.decrypted_secure_json_data["token"], "T");
        assert_eq!((saved.id, saved.url.as_str(), saved.basic_auth_enabled), (7, "http://h", true));
    }
}
