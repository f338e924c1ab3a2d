//! Headers that say for whom a call is made. They are recorded, and never authorise anything; a policy may have a call
//! refused for them.

use tonic::metadata::MetadataMap;

/// What is done about attribution headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Attribution {
    /// They are recorded.
    #[default]
    LogOnly,
    /// A call whose `x-user-id` or `x-user-email` is neither the token's `sub` nor another name in it is refused with
    /// PERMISSION_DENIED.
    RefuseMismatch,
}

/// Whether a header names somebody who is none of these.
pub(crate) fn names_another(metadata: &MetadataMap, names: &[&str]) -> bool {
    let claimed = ["x-user-id", "x-user-email"].iter().flat_map(|header| metadata.get_all(*header).iter());
    claimed.into_iter().any(|value| !names.iter().any(|name| name.as_bytes() == value.as_bytes()))
}

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
