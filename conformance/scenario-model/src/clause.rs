//! The closed vocabulary of clauses. A new form is a design change; an expression language is not wanted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Span, word_help};
use crate::event::Vocabulary;
use crate::moment::{Seconds, Window};

/// A clause as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawClause {
    /// The step whose outcome is meant.
    pub step: Option<String>,
    /// How every call of the step ended.
    pub outcome: Option<Outcome>,
    /// The last reply came within this time of the step's begin.
    pub within: Option<Seconds>,
    /// Every error text has one of the words that this name stands for.
    pub mentions: Option<String>,
    /// Every error text holds these very words, upper case or lower.
    pub says: Option<String>,
    /// The kind of event that is meant.
    pub events: Option<String>,
    /// Only those in this window; else the whole permutation.
    #[serde(rename = "in")]
    pub window: Option<Window>,
    /// Only those whose fields have these values.
    #[serde(rename = "where")]
    pub filter: Option<BTreeMap<String, Value>>,
    /// How many there are.
    pub count: Option<Count>,
    /// What holds for each of them; over nothing it is not testable, never true.
    pub every: Option<BTreeMap<String, Expectation>>,
}

/// How every call of a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every call was answered ok and the server streamed its whole result.
    Served,
    /// Every call was answered with an error.
    Error,
    /// Every call was answered with an error that mentions it, or the log does.
    Warned,
}

/// How many: `count = 0` or `count = { min = 1, max = 2 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: Option<u64>,
}

/// What is expected of a field: a value, bounds, or the same as another field.
#[derive(Debug, Clone, PartialEq)]
pub enum Expectation {
    /// This value.
    Is(Value),
    /// A number within bounds.
    Between {
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
    },
    /// The value of another field of the same event.
    SameAs(String),
}

/// A clause that says one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Clause {
    /// About the replies of a step.
    Step {
        /// The step's id.
        step: String,
        /// How every call ended.
        outcome: Outcome,
        /// In what time.
        within: Option<Seconds>,
        /// What every error text mentions.
        mentions: Option<String>,
        /// What every error text says literally.
        says: Option<String>,
    },
    /// About how many events there are.
    Count {
        /// Which events.
        events: Selection,
        /// How many.
        count: Count,
    },
    /// About each of the events.
    Every {
        /// Which events.
        events: Selection,
        /// What holds for each.
        expect: BTreeMap<String, Expectation>,
    },
}

/// Which events.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Their kind.
    pub kind: String,
    /// Only in this window.
    pub window: Option<Window>,
    /// Only with these values.
    pub filter: BTreeMap<String, Value>,
}

/// Words that `mentions` may name beside those of a manifest.
pub const MENTIONS: [&str; 10] = [
    "missing-field",
    "setting",
    "discovery",
    "token",
    "authentication",
    "tls",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "UNAVAILABLE",
    "INTERNAL",
];

impl RawClause {
    /// Makes one clause of it, or says what is missing or too much.
    pub fn resolve(
        &self,
        words: &Vocabulary,
        place: impl Fn(&str) -> Span,
    ) -> Result<Clause, Vec<Diagnostic>> {
        match (&self.step, &self.events) {
            (Some(step), None) => self.resolve_step(step, place),
            (None, Some(kind)) => self.resolve_events(kind, words, place),
            (Some(_), Some(_)) => Err(vec![Diagnostic::new(
                place("/step"),
                "a clause is about a `step` or about `events`, not both",
            )]),
            (None, None) => Err(vec![Diagnostic::new(
                place(""),
                "a clause needs `step` with `outcome`, or `events` with `count` or `every`",
            )]),
        }
    }

    fn resolve_step(&self, step: &str, place: impl Fn(&str) -> Span) -> Result<Clause, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        for (key, present) in [
            ("in", self.window.is_some()),
            ("where", self.filter.is_some()),
            ("count", self.count.is_some()),
            ("every", self.every.is_some()),
        ] {
            if present {
                wrong.push(Diagnostic::new(
                    place(&format!("/{key}")),
                    format!("`{key}` belongs to a clause about `events`"),
                ));
            }
        }
        if let Some(word) = &self.mentions
            && !MENTIONS.contains(&word.as_str())
        {
            wrong.push(
                Diagnostic::new(place("/mentions"), format!("unknown word `{word}` in `mentions`"))
                    .with_help(word_help(word, MENTIONS)),
            );
        }
        for (key, word) in [("mentions", &self.mentions), ("says", &self.says)] {
            if word.is_some() && self.outcome == Some(Outcome::Served) {
                let message = format!("`{key}` is about an error, and `outcome` is `served`");
                wrong.push(Diagnostic::new(place(&format!("/{key}")), message));
            }
        }
        if self.says.as_ref().is_some_and(|text| text.trim().is_empty()) {
            wrong.push(Diagnostic::new(place("/says"), "`says` is blank: every text would hold it"));
        }
        if self.outcome == Some(Outcome::Warned) && self.mentions.is_none() {
            wrong.push(
                Diagnostic::new(place("/outcome"), "`outcome = \"warned\"` needs `mentions`")
                    .with_help("of what the user is to be warned"),
            );
        }
        match self.outcome {
            Some(outcome) if wrong.is_empty() => Ok(Clause::Step {
                step: step.to_owned(),
                outcome,
                within: self.within,
                mentions: self.mentions.clone(),
                says: self.says.clone(),
            }),
            Some(_) => Err(wrong),
            None => {
                wrong.push(
                    Diagnostic::new(place(""), "a clause about a `step` needs `outcome`")
                        .with_help("`outcome = \"served\"` or `outcome = \"error\"`"),
                );
                Err(wrong)
            }
        }
    }

    fn resolve_events(
        &self,
        kind: &str,
        words: &Vocabulary,
        place: impl Fn(&str) -> Span,
    ) -> Result<Clause, Vec<Diagnostic>> {
        let mut wrong = Vec::new();
        for (key, present) in [
            ("outcome", self.outcome.is_some()),
            ("within", self.within.is_some()),
            ("mentions", self.mentions.is_some()),
            ("says", self.says.is_some()),
        ] {
            if present {
                wrong.push(Diagnostic::new(
                    place(&format!("/{key}")),
                    format!("`{key}` belongs to a clause about a `step`"),
                ));
            }
        }
        let Some(fields) = words.fields(kind) else {
            wrong.push(
                Diagnostic::new(place("/events"), format!("unknown event kind `{kind}`"))
                    .with_help(word_help(kind, words.kinds())),
            );
            return Err(wrong);
        };
        let mut known = |at: String, field: &str| {
            if !fields.iter().any(|f| f == field) {
                wrong.push(
                    Diagnostic::new(place(&at), format!("events of kind `{kind}` have no field `{field}`"))
                        .with_help(word_help(field, fields.iter().map(String::as_str))),
                );
            }
        };
        for field in self.filter.iter().flatten().map(|(field, _)| field) {
            known(format!("/where/{field}"), field);
        }
        for (field, expectation) in self.every.iter().flatten() {
            known(format!("/every/{field}"), field);
            if let Expectation::SameAs(other) = expectation {
                known(format!("/every/{field}"), other);
            }
        }
        let events = Selection {
            kind: kind.to_owned(),
            window: self.window.clone(),
            filter: self.filter.clone().unwrap_or_default(),
        };
        match (self.count, &self.every) {
            _ if !wrong.is_empty() => Err(wrong),
            (Some(count), None) => Ok(Clause::Count { events, count }),
            (None, Some(expect)) => Ok(Clause::Every { events, expect: expect.clone() }),
            (Some(_), Some(_)) | (None, None) => Err(vec![Diagnostic::new(
                place("/events"),
                "a clause about `events` needs `count` or `every`, one of them",
            )]),
        }
    }
}

impl Clause {
    /// The steps that it names.
    pub fn steps(&self) -> Vec<&str> {
        match self {
            Self::Step { step, .. } => vec![step],
            Self::Count { events, .. } | Self::Every { events, .. } => {
                events.window.iter().flat_map(|w| [w.from.as_str(), w.to.as_str()]).collect()
            }
        }
    }

    /// The events that it is about.
    pub fn events(&self) -> Option<&Selection> {
        match self {
            Self::Count { events, .. } | Self::Every { events, .. } => Some(events),
            Self::Step { .. } => None,
        }
    }

    /// The clauses that ask for a little less than this one, each with what it lacks. Whatever meets this clause meets all of them.
    /// A clause of which one is as good asks for more than it can show.
    pub fn looser(&self) -> Vec<(String, Self)> {
        match self {
            Self::Step { step, outcome, within, mentions, says } => {
                let again =
                    |within: Option<Seconds>, mentions: Option<&String>, says: Option<&String>| Self::Step {
                        step: step.clone(),
                        outcome: *outcome,
                        within,
                        mentions: mentions.cloned(),
                        says: says.cloned(),
                    };
                let (word, text) = (mentions.as_ref(), says.as_ref());
                let slower = within.map(|t| {
                    let twice = Seconds(t.0 * 2.0);
                    (format!("within {twice}"), again(Some(twice), word, text))
                });
                // What a warning is about is what makes it one.
                let wordless = word.filter(|_| *outcome == Outcome::Error);
                let wordless =
                    wordless.map(|w| (format!("without mentions `{w}`"), again(*within, None, text)));
                let silent = text.map(|t| (format!("without says `{t}`"), again(*within, word, None)));
                [slower, wordless, silent].into_iter().flatten().collect()
            }
            Self::Count { events, count } => {
                let counted = |count| Self::Count { events: events.clone(), count };
                let more = count.max.map(|max| max + 1);
                let more =
                    more.map(|max| (format!("max = {max}"), counted(Count { max: Some(max), ..*count })));
                // One that asks for none at all is the same as no clause.
                let fewer = count.min.checked_sub(1).filter(|min| *min > 0 || count.max.is_some());
                let fewer = fewer.map(|min| (format!("min = {min}"), counted(Count { min, ..*count })));
                let among_more = events.wider().into_iter().filter(|_| count.max.is_none());
                let among_more =
                    among_more.map(|(lacks, events)| (lacks, Self::Count { events, count: *count }));
                more.into_iter().chain(fewer).chain(among_more).collect()
            }
            Self::Every { events, expect } => {
                let each = |expect| Self::Every { events: events.clone(), expect };
                let mut looser = Vec::new();
                for (field, expectation) in expect {
                    let others = expect.iter().filter(|(f, _)| *f != field);
                    let others: BTreeMap<_, _> = others.map(|(f, e)| (f.clone(), e.clone())).collect();
                    if !others.is_empty() {
                        looser.push((format!("without `{field}`"), each(others.clone())));
                    }
                    for wider in expectation.wider() {
                        let mut expect = others.clone();
                        let lacks = format!("`{field}` {wider}");
                        expect.insert(field.clone(), wider);
                        looser.push((lacks, each(expect)));
                    }
                }
                looser
            }
        }
    }

    /// A verdict over it depends on when things happened.
    pub fn is_about_time(&self) -> bool {
        match self {
            Self::Step { within, outcome, .. } => within.is_some() || *outcome == Outcome::Served,
            Self::Count { count, .. } => count.max.is_some(),
            Self::Every { expect, .. } => expect.keys().any(|field| field.ends_with("_ms")),
        }
    }
}

impl Selection {
    /// Selections of at least the same events, each with what it lacks.
    fn wider(&self) -> Vec<(String, Self)> {
        let anywhen = self.window.as_ref();
        let anywhen = anywhen.map(|w| (format!("without in `{w}`"), Self { window: None, ..self.clone() }));
        let without = self.filter.keys().map(|field| {
            let mut filter = self.filter.clone();
            filter.remove(field);
            (format!("without where `{field}`"), Self { filter, ..self.clone() })
        });
        anywhen.into_iter().chain(without).collect()
    }
}

impl Expectation {
    /// Bounds twice as far from zero, one at a time; at least by one.
    fn wider(&self) -> Vec<Self> {
        let Self::Between { min, max } = *self else { return Vec::new() };
        let by = |bound: f64| bound.abs().max(1.0);
        let lower = min.map(|bound| Self::Between { min: Some(bound - by(bound)), max });
        let higher = max.map(|bound| Self::Between { min, max: Some(bound + by(bound)) });
        lower.into_iter().chain(higher).collect()
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { step, outcome, within, mentions, says } => {
                match outcome {
                    Outcome::Served => write!(f, "every call of `{step}` is served")?,
                    Outcome::Error => write!(f, "every call of `{step}` ends in an error")?,
                    Outcome::Warned => {
                        write!(f, "every call of `{step}` ends in an error or with a warning")?
                    }
                }
                if let Some(within) = within {
                    write!(f, " within {within}")?;
                }
                if let Some(word) = mentions {
                    write!(f, " that mentions the {}", word.replace('-', " "))?;
                }
                if let Some(text) = says {
                    write!(f, " that says `{text}`")?;
                }
                Ok(())
            }
            Self::Count { events, count } => match (count.min, count.max) {
                (0, Some(0)) => write!(f, "no {events}"),
                (min, Some(max)) if min == max => write!(f, "exactly {min} {events}"),
                (0, Some(max)) => write!(f, "at most {max} {events}"),
                (min, Some(max)) => write!(f, "{min} to {max} {events}"),
                (min, None) => write!(f, "at least {min} {events}"),
            },
            Self::Every { events, expect } => {
                write!(f, "every {events} has ")?;
                for (nth, (field, expectation)) in expect.iter().enumerate() {
                    write!(f, "{}`{field}` {expectation}", if nth > 0 { " and " } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.kind)?;
        for (nth, (field, value)) in self.filter.iter().enumerate() {
            write!(f, "{}{field} = {value}", if nth > 0 { ", " } else { " with " })?;
        }
        if let Some(window) = &self.window {
            write!(f, " in `{window}`")?;
        }
        Ok(())
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(value) => write!(f, "= {value}"),
            Self::Between { min: Some(min), max: Some(max) } => write!(f, "from {min} to {max}"),
            Self::Between { min: Some(min), max: None } => write!(f, ">= {min}"),
            Self::Between { min: None, max: Some(max) } => write!(f, "<= {max}"),
            Self::Between { min: None, max: None } => write!(f, "present"),
            Self::SameAs(other) => write!(f, "the same as `{other}`"),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds<T> {
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    min: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none", default = "none")]
    max: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl Serialize for Count {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.max == Some(self.min) {
            return serializer.serialize_u64(self.min);
        }
        Bounds { min: (self.min > 0).then_some(self.min), max: self.max }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(exactly) = value.as_u64() {
            return Ok(Self { min: exactly, max: Some(exactly) });
        }
        let bounds: Bounds<u64> = serde_json::from_value(value).map_err(|_| {
            serde::de::Error::custom("expected `count = 0` or `count = { min = 1, max = 2 }`")
        })?;
        match (bounds.min, bounds.max) {
            (None, None) => Err(serde::de::Error::custom("`count` needs `min` or `max`")),
            (min, max) if max.is_some_and(|max| max < min.unwrap_or(0)) => {
                Err(serde::de::Error::custom("`count` has `max` below `min`"))
            }
            (Some(0), None) => Err(serde::de::Error::custom("`count = { min = 0 }` is always true")),
            (min, max) => Ok(Self { min: min.unwrap_or(0), max }),
        }
    }
}

impl Serialize for Expectation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Is(value) => value.serialize(serializer),
            Self::Between { min, max } => Bounds { min: *min, max: *max }.serialize(serializer),
            Self::SameAs(other) => BTreeMap::from([("same_as", other)]).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Expectation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if !value.is_object() {
            return Ok(Self::Is(value));
        }
        if let Some(other) = value.get("same_as").and_then(Value::as_str) {
            return Ok(Self::SameAs(other.to_owned()));
        }
        let bounds: Bounds<f64> = serde_json::from_value(value).map_err(|_| {
            serde::de::Error::custom("expected a value, `{ min = …, max = … }` or `{ same_as = \"field\" }`")
        })?;
        if bounds.min.is_none() && bounds.max.is_none() {
            return Err(serde::de::Error::custom("expected `min`, `max` or `same_as`"));
        }
        Ok(Self::Between { min: bounds.min, max: bounds.max })
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "object"], "minimum": 0,
            "properties": { "min": { "type": "integer", "minimum": 0 }, "max": { "type": "integer", "minimum": 0 } },
            "additionalProperties": false })
    }
}

impl JsonSchema for Expectation {
    fn schema_name() -> Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "integer", "number", "boolean", "object"],
            "properties": { "min": { "type": "number" }, "max": { "type": "number" }, "same_as": { "type": "string" } },
            "additionalProperties": false })
    }
}
