//! Headers that say for whom a call is made. They are recorded, and never authorise anything.

use tonic::metadata::MetadataMap;

/// The headers.
const HEADERS: [&str; 5] = ["x-user-id", "x-user-email", "x-user-name", "x-org-id", "x-client-type"];

/// Each header that is there, with all its values.
pub(crate) fn of(metadata: &MetadataMap) -> Vec<(String, Vec<String>)> {
    HEADERS
        .iter()
        .filter_map(|name| {
            let values: Vec<String> = metadata
                .get_all(*name)
                .iter()
                .map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
                .collect();
            (!values.is_empty()).then(|| ((*name).to_owned(), values))
        })
        .collect()
}
