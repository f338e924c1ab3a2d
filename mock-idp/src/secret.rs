//! A secret that is not printed by accident.

use std::fmt;

use serde::{Serialize, Serializer};

/// A secret; everything but [`Secret::expose`] says `[redacted]`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

/// A secret of a configuration file.
pub(crate) fn from_text<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Secret, D::Error> {
    use serde::Deserialize as _;
    String::deserialize(d).map(Secret::new)
}
