//! Facts as servers and subjects record them, made by hand.

use scenario_model::event::Event;
use serde_json::{Value, json};

/// Moments in milliseconds, and facts.
pub fn events(facts: &[(u64, Value)]) -> Vec<Event> {
    let events = facts.iter().enumerate().map(|(seq, (ms, fact))| {
        let mut event = fact.clone();
        event["seq"] = seq.into();
        event["at_us"] = (ms * 1000).into();
        serde_json::from_value::<Event>(event).expect("an event")
    });
    events.collect()
}

pub fn begin(step: &str) -> Value {
    json!({ "kind": "step.begin", "step": step, "op": "query", "session": "a", "calls": 1 })
}

pub fn end(step: &str, replies: &[Value]) -> Value {
    json!({ "kind": "step.end", "step": step, "session": "a", "leak": false, "replies": replies })
}

pub fn reply(said: &str, took_ms: u64) -> Value {
    json!({ "marker": "m", "said": said, "took_us": took_ms * 1000 })
}

/// The server's end of a call: a whole result of two rows, but for what is changed.
pub fn streamed(changes: Value) -> Value {
    let mut event = json!({
        "kind": "server.stream-end", "rpc": 1, "session": "a", "method": "DoGet", "command": "StatementQuery",
        "marker": "m", "rows": 2, "bytes": 10, "code": "OK", "aborted": false,
    });
    event.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
    event
}

pub fn keys(status: Option<u16>) -> Value {
    json!({
        "kind": "issuer.jwks", "issuer": "main", "session": null, "method": "GET", "path": "/jwks",
        "expected_path": true, "status": status,
    })
}

pub fn stall(gap_ms: u64) -> Value {
    json!({ "kind": "host.stall", "gap_ms": gap_ms })
}
