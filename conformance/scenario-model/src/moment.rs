//! Times as a scenario writes them: `1.5s`, `first + 1s`, `stuck.end`, `first..cached`, `skew.upper + 4s`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time in seconds, written `5s`, `250ms` or `1m`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seconds(pub f64);

impl Seconds {
    /// As whole microseconds.
    pub fn micros(self) -> i64 {
        (self.0 * 1e6).round() as i64
    }
}

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len()));
        let factor = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("`{text}` is not a time: expected a number with `ms`, `s`, `m` or `h`")),
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => Ok(Self(number * factor)),
            _ => Err(format!("`{text}` is not a time: expected for instance `5s` or `250ms`")),
        }
    }
}

impl From<Seconds> for String {
    fn from(value: Seconds) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 != 0.0 && self.0 < 1.0 {
            write!(f, "{}ms", (self.0 * 1e3).round())
        } else {
            write!(f, "{}s", (self.0 * 1e3).round() / 1e3)
        }
    }
}

/// What of a step a moment is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// The moment at which its first call was sent.
    Begin,
    /// The moment at which its last reply came.
    End,
    /// Its begin and the lifetime of the tokens of the issuer `main`, at most 20 s: a token that it fetched expires just
    /// after, or was renewed long before.
    Expiry,
}

/// A moment relative to a step: `first + 1s` (from its begin), `stuck.end`, `heal.end + 0.2s`, `first.expiry - 300ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Moment {
    /// The step that it is relative to.
    pub step: String,
    /// Its begin, its end or the expiry of what it fetched.
    pub edge: Edge,
    /// How long after.
    pub after: Seconds,
    /// How long before; only for the expiry.
    pub before: Seconds,
}

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let zero = Seconds(0.0);
        let seconds = |text: &str| Seconds::try_from(text.to_owned());
        let (anchor, after, before) = match (text.split_once('+'), text.split_once(" - ")) {
            (Some((anchor, after)), _) => (anchor.trim(), seconds(after)?, zero),
            (None, Some((anchor, before))) => (anchor.trim(), zero, seconds(before)?),
            (None, None) => (text.trim(), zero, zero),
        };
        let (step, edge) = match anchor.split_once('.') {
            Some((step, "end")) => (step, Edge::End),
            Some((step, "begin")) => (step, Edge::Begin),
            Some((step, "expiry")) => (step, Edge::Expiry),
            Some((_, other)) => {
                return Err(format!("unknown edge `.{other}`: expected `.begin`, `.end` or `.expiry`"));
            }
            None => (anchor, Edge::Begin),
        };
        if step.is_empty() || step.contains(char::is_whitespace) {
            return Err(format!("`{text}` is not a moment: expected `STEP + 1s` or `STEP.end`"));
        }
        if before.0 > 0.0 && edge != Edge::Expiry {
            return Err(format!("`{text}` is before a step: only `STEP.expiry - 1s` can be"));
        }
        Ok(Self { step: step.to_owned(), edge, after, before })
    }
}

impl From<Moment> for String {
    fn from(value: Moment) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let edge = match self.edge {
            Edge::Begin => "",
            Edge::End => ".end",
            Edge::Expiry => ".expiry",
        };
        write!(f, "{}{edge}", self.step)?;
        if self.after.0 > 0.0 {
            write!(f, " + {}", self.after)?;
        }
        if self.before.0 > 0.0 {
            write!(f, " - {}", self.before)?;
        }
        Ok(())
    }
}

/// A stretch of a permutation: one step, or from the begin of one to the end of another (`first..cached`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// The step at whose begin it opens.
    pub from: String,
    /// The step at whose end it closes.
    pub to: String,
}

impl TryFrom<String> for Window {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (from, to) = text.split_once("..").unwrap_or((&text, &text));
        let (from, to) = (from.trim().to_owned(), to.trim().to_owned());
        if from.is_empty() || to.is_empty() {
            return Err(format!("`{text}` is not a window: expected `STEP` or `STEP..STEP`"));
        }
        Ok(Self { from, to })
    }
}

impl From<Window> for String {
    fn from(value: Window) -> Self {
        value.to_string()
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from == self.to {
            write!(f, "{}", self.from)
        } else {
            write!(f, "{}..{}", self.from, self.to)
        }
    }
}

/// How long a token lives: whole seconds, or relative to the refresh skew that calibration found for the subject.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lifetime {
    /// So many seconds.
    Seconds(u64),
    /// So many seconds above the upper bound of the subject's refresh skew.
    AboveSkew(f64),
}

impl Lifetime {
    /// In whole seconds, rounded up, for a subject whose skew is at most `skew_upper` seconds.
    pub fn resolve(self, skew_upper: f64) -> u64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::AboveSkew(more) => (skew_upper + more).ceil().max(1.0) as u64,
        }
    }
}

impl Serialize for Lifetime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Seconds(seconds) => serializer.serialize_u64(*seconds),
            Self::AboveSkew(more) => serializer.serialize_str(&format!("skew.upper + {more}s")),
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        if let Some(seconds) = value.as_u64() {
            return Ok(Self::Seconds(seconds));
        }
        let text = value.as_str().unwrap_or_default();
        let more = match text.split_once('+') {
            Some((skew, more)) if skew.trim() == "skew.upper" => Seconds::try_from(more.to_owned()).ok(),
            Some(_) => None,
            None => (text.trim() == "skew.upper").then_some(Seconds(0.0)),
        };
        match (more, Seconds::try_from(text.to_owned())) {
            (Some(more), _) => Ok(Self::AboveSkew(more.0)),
            (None, Ok(seconds)) => Ok(Self::Seconds(seconds.0.ceil() as u64)),
            (None, Err(_)) => Err(serde::de::Error::custom(format!(
                "`{value}` is not a lifetime: expected seconds, `60s` or `skew.upper + 4s`"
            ))),
        }
    }
}

macro_rules! string_schema {
    ($($type:ty, $name:literal, $example:literal;)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "examples": [$example] })
            }
        }
    )*};
}

string_schema! {
    Seconds, "Seconds", "5s";
    Moment, "Moment", "first + 1s";
    Window, "Window", "first..cached";
}

impl JsonSchema for Lifetime {
    fn schema_name() -> Cow<'static, str> {
        "Lifetime".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"], "examples": ["skew.upper + 4s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_round_trip() {
        for text in ["5s", "250ms", "0s", "90s"] {
            let parsed = Seconds::try_from(text.to_owned()).expect(text);
            assert_eq!(parsed.to_string(), text);
        }
        for bad in ["5", "s", "-1s", "5 parsecs", ""] {
            assert!(Seconds::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_and_windows_round_trip() {
        for text in ["first", "first + 1s", "stuck.end", "heal.end + 200ms", "first.expiry - 300ms"] {
            assert_eq!(Moment::try_from(text.to_owned()).expect(text).to_string(), text);
        }
        assert!(Moment::try_from("first.middle".to_owned()).is_err());
        assert!(Moment::try_from("first - 1s".to_owned()).is_err());
        for text in ["first", "first..cached"] {
            assert_eq!(Window::try_from(text.to_owned()).expect(text).to_string(), text);
        }
    }

    #[test]
    fn lifetimes_follow_the_calibrated_skew() {
        let above: Lifetime = serde_json::from_str("\"skew.upper + 4s\"").expect("an expression");
        assert_eq!(above.resolve(1.5), 6);
        assert_eq!(above.resolve(10.0), 14);
        assert_eq!(serde_json::from_str::<Lifetime>("60").expect("an integer").resolve(9.0), 60);
        assert!(serde_json::from_str::<Lifetime>("\"skewer + 4s\"").is_err());
    }
}
