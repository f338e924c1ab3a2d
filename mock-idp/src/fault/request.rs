//! A fault as somebody writes it down: by number or name, in JSON, TOML or YAML.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::catalogue::{self, Entry};
use super::{Event, Fault, FaultKind, Scope, bounds};
use crate::config::GrantKind;
use crate::endpoint::Endpoint;

/// How long a fault stands if nobody says so (true time).
const LIFETIME: f64 = 300.0;

/// A fault as it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRequest {
    /// Number or name in the catalogue: `T01` or `expired-token`.
    pub fault: String,
    /// What the fault needs to know; see its example in the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<Value>,
    /// Where; the catalogue's usual endpoint if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// Only for the issuer with this path (`/` for the one without).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Only for this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Only for this `grant_type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// So many requests are answered well first.
    pub after: u32,
    /// So many requests are hit; once if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Every request is hit, as long as the fault lives.
    pub always: bool,
    /// Only each n-th request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u32>,
    /// Each request with this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Makes the probability the same each time.
    pub seed: u64,
    /// Seconds on the issuer's clock before it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_in: Option<f64>,
    /// Seconds on the issuer's clock that it lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lasts: Option<f64>,
    /// Only once this has happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_event: Option<EventRequest>,
    /// Only until this happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_event: Option<EventRequest>,
    /// Seconds of true time after which it is gone; 300 if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<f64>,
}

/// A request to an endpoint, as an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRequest {
    /// Where.
    pub endpoint: Endpoint,
    /// With this `grant_type`, or any.
    #[serde(default)]
    pub grant: Option<String>,
}

/// Why a fault that was asked for is none.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FaultRequestError {
    /// Nothing was named.
    #[error("`fault` is missing: send an object like `{{\"fault\": \"expired-token\"}}`")]
    Missing,
    /// A grant that no issuer answers.
    #[error("there is no grant `{name}`{hint} (known: {known})")]
    Grant {
        /// What was written.
        name: String,
        /// A guess at what was meant.
        hint: String,
        /// All of them.
        known: String,
    },
    /// A header that is none.
    #[error("header `{name}` {problem}")]
    Header {
        /// What was written.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// A fault of connections cannot know what a request would have said.
    #[error(
        "`{fault}` is about connections, and nobody knows a connection's `{member}`: leave it out, or take a fault of answers \
         (`close-without-answer`, `hang`)"
    )]
    Connection {
        /// The fault.
        fault: &'static str,
        /// What it cannot look at.
        member: &'static str,
    },
    /// Not in the catalogue.
    #[error("there is no fault `{name}`{hint} (`GET /_mock/faults/catalogue` lists them)")]
    Unknown {
        /// What was written.
        name: String,
        /// A guess at what was meant.
        hint: String,
    },
    /// `with` does not fit.
    #[error("`with` of `{name}` does not fit: {problem}; an example: {example}")]
    With {
        /// The fault.
        name: &'static str,
        /// What is wrong.
        problem: String,
        /// What would be right.
        example: String,
    },
    /// A number is out of its range.
    #[error("`{member}` has to be {range}")]
    Range {
        /// Which.
        member: &'static str,
        /// What it may be.
        range: &'static str,
    },
}

impl FaultRequest {
    /// The fault that is meant.
    ///
    /// # Errors
    /// A name that is not in the catalogue, or parameters that do not fit it.
    pub fn resolve(&self) -> Result<Fault, FaultRequestError> {
        if self.fault.is_empty() {
            return Err(FaultRequestError::Missing);
        }
        let entry = catalogue::find(&self.fault).ok_or_else(|| FaultRequestError::Unknown {
            name: self.fault.clone(),
            hint: crate::did_you_mean::among(&self.fault, catalogue::ALL.iter().map(|e| e.name)),
        })?;
        let kind = kind_of(entry, self.with.as_ref())?;
        bounds::check(&kind)?;
        if kind.is_about_connection() {
            let named = [("client", self.client.is_some()), ("grant", self.grant.is_some())];
            if let Some((member, _)) = named.into_iter().find(|(_, is_there)| *is_there) {
                return Err(FaultRequestError::Connection { fault: entry.name, member });
            }
        }
        let seconds = |member, value: Option<f64>| {
            let duration = value.map(Duration::try_from_secs_f64).transpose();
            duration.map_err(|_| FaultRequestError::Range { member, range: "a number of seconds, 0 or more" })
        };
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(FaultRequestError::Range { member: "probability", range: "from 0 to 1" });
        }
        if self.every == Some(0) {
            return Err(FaultRequestError::Range { member: "every", range: "1 or more" });
        }
        if self.times == Some(0) {
            return Err(FaultRequestError::Range { member: "times", range: "1 or more" });
        }
        let is_barrier = matches!(kind, FaultKind::Barrier { .. });
        let event = |e: &Option<EventRequest>| match e {
            Some(e) => Ok(Some(Event { endpoint: e.endpoint, grant: grant(e.grant.as_deref())? })),
            None => Ok(None),
        };
        Ok(Fault {
            endpoint: self.endpoint.unwrap_or(entry.endpoint),
            after: self.after,
            times: if self.always || (is_barrier && self.times.is_none()) {
                None
            } else {
                Some(self.times.unwrap_or(1))
            },
            scope: Scope {
                issuer: self.issuer.as_deref().map(|i| i.trim_end_matches('/').to_owned()),
                client: self.client.clone(),
                grant: grant(self.grant.as_deref())?,
                every: self.every,
                probability: self.probability,
                seed: self.seed,
                starts_in: seconds("starts_in", self.starts_in)?,
                lasts: seconds("lasts", self.lasts)?,
                after_event: event(&self.after_event)?,
                before_event: event(&self.before_event)?,
                lifetime: seconds("lifetime", Some(self.lifetime.unwrap_or(LIFETIME)))?,
            },
            kind,
        })
    }
}

/// The wire value of a grant, which may be written short (`device_code`).
fn grant(name: Option<&str>) -> Result<Option<String>, FaultRequestError> {
    let Some(name) = name else { return Ok(None) };
    if let Ok(known) = serde_json::from_value::<GrantKind>(Value::from(name)) {
        return Ok(Some(known.as_str().to_owned()));
    }
    let known = GrantKind::ALL.map(GrantKind::as_str);
    let short = known.map(|k| k.rsplit(':').next().unwrap_or(k));
    Err(FaultRequestError::Grant {
        name: name.to_owned(),
        hint: crate::did_you_mean::among(name, short),
        known: short.join(", "),
    })
}

/// The catalogue's fault with these parameters laid over those of its preset.
fn kind_of(entry: &'static Entry, with: Option<&Value>) -> Result<FaultKind, FaultRequestError> {
    let example = || entry.example_with().to_string();
    let failed = |problem: String| FaultRequestError::With { name: entry.name, problem, example: example() };
    let tag = entry.kind;
    let unit = serde_json::from_value::<FaultKind>(Value::from(tag));
    let value = match (entry.preset_value(), with) {
        (Some(preset), None) => json!({ tag: preset }),
        (Some(Value::Object(preset)), Some(Value::Object(with))) => {
            let mut all = preset;
            all.extend(with.clone());
            json!({ tag: all })
        }
        (_, Some(with)) if unit.is_ok() => {
            if with.as_object().is_some_and(Map::is_empty) {
                return unit.map_err(|e| failed(e.to_string()));
            }
            return Err(failed("it takes no parameters".to_owned()));
        }
        (_, Some(with)) => json!({ tag: with }),
        (None, None) if unit.is_ok() => Value::from(tag),
        (None, None) => json!({ tag: {} }),
    };
    serde_path_to_error::deserialize(value).map_err(|e| failed(e.inner().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_of_the_catalogue_resolves_by_number_and_name_with_its_example() {
        for entry in catalogue::ALL.iter() {
            for fault in [entry.number, entry.name] {
                let request = FaultRequest {
                    fault: fault.to_owned(),
                    with: entry.example_value(),
                    ..FaultRequest::default()
                };
                let resolved = request.resolve();
                assert!(resolved.is_ok(), "{fault}: {:?}", resolved.err());
            }
        }
    }

    #[test]
    fn a_misspelt_fault_is_answered_with_a_guess() {
        let request = FaultRequest { fault: "expired-tokn".to_owned(), ..FaultRequest::default() };
        let error = request.resolve().expect_err("no such fault").to_string();
        assert!(error.contains("did you mean `expired-token`"), "{error}");
    }

    #[test]
    fn a_fault_is_one_shot_and_mortal_unless_asked_otherwise() {
        let fault =
            FaultRequest { fault: "T01".to_owned(), ..FaultRequest::default() }.resolve().expect("a fault");
        assert_eq!((fault.times, fault.scope.lifetime), (Some(1), Some(Duration::from_secs(300))));
    }
}
