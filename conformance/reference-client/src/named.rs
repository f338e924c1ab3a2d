//! Closed lists of names: defects and variants.

/// A name that is in none of the lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} `{name}`{}", .meant.map(|meant| format!(", did you mean `{meant}`?")).unwrap_or_default())]
pub struct UnknownName {
    kind: &'static str,
    name: String,
    meant: Option<&'static str>,
}

impl UnknownName {
    /// Looks for the nearest of `known`, by spelling.
    pub(crate) fn new(kind: &'static str, name: &str, known: impl Iterator<Item = &'static str>) -> Self {
        let meant = known
            .map(|candidate| (strsim::jaro_winkler(candidate, name), candidate))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, candidate)| candidate);
        Self { kind, name: name.to_owned(), meant }
    }
}

/// An enum whose every value has a name on the command line and a sentence that describes it.
macro_rules! named {
    ($(#[$doc:meta])* $kind:literal $ty:ident { $($value:ident = $name:literal: $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $ty {
            $(#[doc = $text] $value,)*
        }

        impl $ty {
            /// All of them, in reading order.
            pub const ALL: &'static [Self] = &[$(Self::$value,)*];

            /// The name on the command line and in the matrix, in kebab case.
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }

            /// One sentence: what it does.
            pub fn describe(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl std::fmt::Display for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $ty {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|value| value.name() == name).ok_or_else(|| {
                    $crate::UnknownName::new($kind, name, Self::ALL.iter().map(|value| value.name()))
                })
            }
        }
    };
}
pub(crate) use named;
