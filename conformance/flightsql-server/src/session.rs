//! Sessions: the options that a client sets, gets and gives up. A client with cookies has a session for its cookie, one
//! without has one for its connection. This server has one catalog and one schema, so there is little to set.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use prost::Message;
use tonic::metadata::MetadataMap;

use crate::connection::Peer;
use crate::engine::{CATALOG, SCHEMA};
use crate::ids::random;

/// Cookie that Flight's own session middleware uses.
const COOKIE: &str = "arrow_flight_session_id";
/// So many sessions are remembered.
const SESSIONS: usize = 4096;

/// A value of an option (Flight.proto, `SessionOptionValue`).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "option_value::Value", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<option_value::Value>,
}

pub(crate) mod option_value {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Value {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(bool, tag = "2")]
        Bool(bool),
        #[prost(sfixed64, tag = "3")]
        Integer(i64),
        #[prost(double, tag = "4")]
        Double(f64),
        #[prost(message, tag = "5")]
        Texts(super::Texts),
    }
}

/// A list of texts (`SessionOptionValue.StringListValue`).
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

/// `SetSessionOptionsRequest`, and `GetSessionOptionsResult`, which looks the same.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Options {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, SetError>,
}

/// `SetSessionOptionsResult.Error`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    pub(crate) value: i32,
}

/// `SetSessionOptionsResult.ErrorValue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// `CloseSessionResult`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CloseResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub(crate) status: i32,
}

/// `CloseSessionResult.Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

/// Name of a session: principal, and cookie or connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionName {
    principal: String,
    place: String,
}

impl SessionName {
    pub(crate) fn of(principal: &str, peer: &Peer, metadata: &MetadataMap) -> Self {
        let place = cookie(metadata).unwrap_or_else(|| format!("{}:{}", peer.listener, peer.port));
        Self { principal: principal.to_owned(), place }
    }
}

/// Whether the client sent a cookie of ours.
pub(crate) fn cookie(metadata: &MetadataMap) -> Option<String> {
    let values = metadata.get_all("cookie").iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, id)| (name == COOKIE).then(|| id.trim_matches('"').to_owned()))
}

/// A new cookie, and the name of the session for it.
pub(crate) fn new_cookie(principal: &str) -> (String, SessionName) {
    let id = random();
    let name = SessionName { principal: principal.to_owned(), place: id.clone() };
    (format!("{COOKIE}={id}"), name)
}

/// The sessions of a server.
pub(crate) struct Sessions(Mutex<LruCache<SessionName, BTreeMap<String, OptionValue>>>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(SESSIONS).expect("not zero"))))
    }

    /// Sets what can be set; the rest is named with what is wrong.
    pub(crate) fn set(&self, session: SessionName, wanted: Options) -> SetResult {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let options = sessions.get_or_insert_mut(session, BTreeMap::new);
        let mut errors = HashMap::new();
        for (name, value) in wanted.options {
            match accepted(&name, &value) {
                Ok(()) if value.value.is_none() => {
                    options.remove(&name);
                }
                Ok(()) => {
                    options.insert(name, value);
                }
                Err(error) => {
                    errors.insert(name, SetError { value: error as i32 });
                }
            }
        }
        SetResult { errors }
    }

    /// All options: those that were set over those that everybody has.
    pub(crate) fn get(&self, session: &SessionName) -> Options {
        let text = |t: &str| OptionValue { value: Some(option_value::Value::Text(t.to_owned())) };
        let mut options =
            HashMap::from([("catalog".to_owned(), text(CATALOG)), ("schema".to_owned(), text(SCHEMA))]);
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sessions.get(session) {
            options.extend(set.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        Options { options }
    }

    pub(crate) fn close(&self, session: &SessionName) -> CloseResult {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop(session);
        CloseResult { status: CloseStatus::Closed as i32 }
    }
}

fn accepted(name: &str, value: &OptionValue) -> Result<(), ErrorValue> {
    let only = match name {
        "catalog" => CATALOG,
        "schema" => SCHEMA,
        _ => return Err(ErrorValue::InvalidName),
    };
    match &value.value {
        None => Ok(()),
        Some(option_value::Value::Text(text)) if text == only => Ok(()),
        Some(_) => Err(ErrorValue::InvalidValue),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_one_by_one_and_closed_together() {
        let text = |t: &str| OptionValue { value: Some(option_value::Value::Text(t.to_owned())) };
        let sessions = Sessions::new();
        let (_, name) = new_cookie("ann");
        let wanted = [("catalog", CATALOG), ("schema", "other"), ("colour", "red")];
        let options = wanted.iter().map(|(n, v)| ((*n).to_owned(), text(v))).collect();
        let errors = sessions.set(name.clone(), Options { options }).errors;
        assert_eq!(errors.len(), 2);
        assert_eq!(errors["schema"].value, ErrorValue::InvalidValue as i32);
        assert_eq!(errors["colour"].value, ErrorValue::InvalidName as i32);
        assert_eq!(sessions.get(&name).options["schema"], text(SCHEMA));
        assert_eq!(sessions.close(&name).status, CloseStatus::Closed as i32);
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut metadata = MetadataMap::new();
        metadata.insert("cookie", format!("a=b; {COOKIE}=xyz").parse().expect("a header value"));
        assert_eq!(cookie(&metadata), Some("xyz".to_owned()));
    }
}
