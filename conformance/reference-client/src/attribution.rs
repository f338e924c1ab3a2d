//! Who asks: the user headers of a call.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};

use crate::behaviour::{Behaviour, Defect};

/// All that is not visible ASCII, and the escape character itself, so that decoding gives the name back.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// The user of a query, as the protocol names it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct User {
    id: Option<String>,
    email: Option<String>,
    name: Option<String>,
    org: Option<String>,
    /// Headers of the user's own request. They are the user's business: the correct client looks at none of them.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

impl User {
    /// A user as Grafana names one.
    pub(crate) fn new(id: String, email: String, name: String, org: i64) -> Self {
        let org = Some(org.to_string());
        Self { id: Some(id), email: Some(email), name: Some(name), org, headers: BTreeMap::new() }
    }

    /// The id, as a log may show it.
    pub(crate) fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// Adds `x-user-id`, `x-user-email`, `x-user-name`, `x-org-id` and `x-client-type`; absent and empty ones are left out.
    pub(crate) fn write(&self, metadata: &mut MetadataMap, behaviour: Behaviour) {
        let fields = [
            ("x-user-id", &self.id),
            ("x-user-email", &self.email),
            ("x-user-name", &self.name),
            ("x-org-id", &self.org),
        ];
        for (header, value) in fields {
            let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { continue };
            if behaviour.has(Defect::NotEncoded) && !value.is_ascii() {
                continue;
            }
            if behaviour.has(Defect::IdOnly) && header != "x-user-id" {
                continue;
            }
            let value = match value.split_once("\r\n") {
                Some((first, rest)) if behaviour.has(Defect::SplitsLines) => {
                    inject(metadata, rest);
                    first
                }
                _ => value,
            };
            let mut encoded = utf8_percent_encode(value, ESCAPED).to_string();
            if behaviour.has(Defect::RawPercent) {
                encoded = encoded.replace("%25", "%");
            }
            let encoded = MetadataValue::try_from(encoded).expect("all that a header refuses is escaped");
            if behaviour.has(Defect::Appended) && header == "x-user-id" {
                metadata.append(header, encoded.clone());
            }
            metadata.append(header, encoded);
        }
        if !behaviour.has(Defect::IdOnly) {
            metadata.append("x-client-type", MetadataValue::from_static("reference-client"));
        }
    }
}

/// What the defect `splits-lines` makes of a line: a header.
fn inject(metadata: &mut MetadataMap, line: &str) {
    if let Some((name, value)) = line.split_once(": ")
        && let Ok(name) = MetadataKey::from_bytes(name.as_bytes())
        && let Ok(value) = value.parse()
    {
        metadata.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(name: &str) -> User {
        User {
            id: Some("u".into()),
            email: None,
            name: Some(name.to_owned()),
            org: Some(String::new()),
            headers: BTreeMap::new(),
        }
    }

    fn written(name: &str, behaviour: Behaviour) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        named(name).write(&mut metadata, behaviour);
        metadata
    }

    #[test]
    fn absent_and_empty_fields_send_no_header() {
        let metadata = written("Alice", Behaviour::default());
        assert!(metadata.get("x-user-email").is_none() && metadata.get("x-org-id").is_none());
        assert_eq!(metadata.get("x-client-type").expect("sent"), "reference-client");
    }

    #[test]
    fn each_defect_changes_its_header() {
        let appended = written("Alice", Behaviour::with_defect(Defect::Appended));
        assert_eq!(appended.get_all("x-user-id").iter().count(), 2);
        let dropped = written("Zoë", Behaviour::with_defect(Defect::NotEncoded));
        assert!(dropped.get("x-user-name").is_none());
    }

    proptest! {
        #[test]
        fn any_name_comes_back_by_decoding(name in any::<String>().prop_filter("empty is not sent", |name| !name.is_empty())) {
            let metadata = written(&name, Behaviour::default());
            let sent = metadata.get("x-user-name").expect("sent").to_str().expect("ASCII");
            let decoded = percent_encoding::percent_decode_str(sent).decode_utf8().expect("UTF-8");
            prop_assert_eq!(decoded, name);
        }
    }
}
