//! Users, and how they log in.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::secret::Secret;

/// Who logs in, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Shows the login page; otherwise everybody is at once logged in as `automatic`, or as `login_hint`.
    pub interactive: bool,
    /// Who is logged in without a page.
    pub automatic: String,
    /// Known users; any name is taken if there are none.
    pub users: Vec<User>,
    /// HTML of an own login page: a form that posts `username`, and optionally `password` and `claims`.
    pub page: Option<String>,
}

impl Default for Login {
    fn default() -> Self {
        Self { interactive: true, automatic: "alice".to_owned(), users: Vec::new(), page: None }
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// What is typed in, and the `sub` unless the claims have one.
    pub name: String,
    /// The password; any is right if it is empty.
    #[serde(deserialize_with = "crate::secret::from_text")]
    pub password: Secret,
    /// Claims about the user.
    pub claims: Map<String, Value>,
}
