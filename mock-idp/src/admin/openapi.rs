//! The OpenAPI document of the control API, made from the types that it reads and writes.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::control::{BarrierRequest, ClockOrder, IssuerOrder, IssuerStatus, KeyOrder, KeyStatus, Status};
use super::record::TakeOrder;
use super::tokens::{InspectOrder, MintOrder, RevokeOrder};
use crate::clock::ClockReading;
use crate::fault::catalogue::Entry;
use crate::fault::{FaultRequest, StandingFault};
use crate::log::Exchange;

type Schema = fn(&mut SchemaGenerator) -> schemars::Schema;

/// One thing that can be asked for.
struct Operation {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    request: Option<Schema>,
    status: u16,
    answer: Option<Schema>,
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> schemars::Schema {
    generator.subschema_for::<T>()
}

const RECORD: &[&str] = &["issuer", "endpoint", "client", "grant", "after", "reveal"];

const fn get(
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    answer: Option<Schema>,
) -> Operation {
    Operation { method: "GET", path, summary, query, request: None, status: 200, answer }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    request: Option<Schema>,
    status: u16,
    answer: Option<Schema>,
) -> Operation {
    Operation { method: "POST", path, summary, query: &[], request, status, answer }
}

const fn delete(
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    status: u16,
    answer: Option<Schema>,
) -> Operation {
    Operation { method: "DELETE", path, summary, query, request: None, status, answer }
}

static OPERATIONS: &[Operation] = &[
    get("/openapi.json", "This document", &[], None),
    get("/status", "Issuers, clocks, how many faults stand", &[], Some(schema::<Status>)),
    get("/faults/catalogue", "Every fault that there is", &[], Some(schema::<Vec<Entry>>)),
    get("/faults", "Faults that stand", &[], Some(schema::<Vec<StandingFault>>)),
    post("/faults", "Set a fault", Some(schema::<FaultRequest>), 201, Some(schema::<StandingFault>)),
    delete(
        "/faults",
        "Remove all faults, or those of an issuer",
        &["issuer"],
        200,
        Some(schema::<Vec<StandingFault>>),
    ),
    delete("/faults/{id}", "Remove a fault", &[], 200, Some(schema::<Vec<StandingFault>>)),
    post("/faults/{id}/release", "Let all go that wait at a barrier", None, 200, None),
    post("/barriers", "Set a barrier", Some(schema::<BarrierRequest>), 201, Some(schema::<StandingFault>)),
    get("/clock", "How the clock of an issuer stands", &["issuer"], Some(schema::<ClockReading>)),
    post(
        "/clock",
        "Move, stop or reset the clock of an issuer",
        Some(schema::<ClockOrder>),
        200,
        Some(schema::<ClockReading>),
    ),
    get("/keys", "Keys of an issuer, the newest first", &["issuer"], Some(schema::<Vec<KeyStatus>>)),
    post(
        "/keys",
        "Rotate, replace or withdraw keys",
        Some(schema::<KeyOrder>),
        200,
        Some(schema::<Vec<KeyStatus>>),
    ),
    get("/issuers", "Issuers by path", &[], Some(schema::<Vec<IssuerStatus>>)),
    post(
        "/issuers",
        "Make an issuer that is gone after a while",
        Some(schema::<IssuerOrder>),
        201,
        Some(schema::<IssuerStatus>),
    ),
    delete(
        "/issuers",
        "Remove an issuer that was made on first use or to be thrown away",
        &["path"],
        200,
        None,
    ),
    get("/profiles", "Provider profiles and their quirks", &[], None),
    post("/tokens", "Mint a token with any claims", Some(schema::<MintOrder>), 201, None),
    post(
        "/tokens/revoke",
        "Revoke a token, those of a client, or all",
        Some(schema::<RevokeOrder>),
        200,
        None,
    ),
    post("/tokens/inspect", "Look into a token; nothing is fetched", Some(schema::<InspectOrder>), 200, None),
    get("/record", "The record; `reveal` shows secrets and tokens", RECORD, Some(schema::<Vec<Exchange>>)),
    post(
        "/record/take",
        "Take the oldest exchange that fits, and wait for it (204 if none came)",
        Some(schema::<TakeOrder>),
        200,
        Some(schema::<Exchange>),
    ),
    delete("/record", "Clear the record", &[], 204, None),
    get("/record/stream", "Exchanges from now on as server-sent events", &["reveal"], None),
    post(
        "/reset",
        "Forget faults, record, sessions, tokens, clocks, and issuers made on first use",
        None,
        204,
        None,
    ),
    get("/metrics", "Numbers in the text format of OpenMetrics", &[], None),
    get("/ca.pem", "The throw-away CA", &[], None),
];

/// Methods that go with a path.
pub(super) fn methods_of(path: &[&str]) -> Vec<&'static str> {
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.trim_start_matches('/').split('/').collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(p, is)| p.starts_with('{') || p == is)
    };
    OPERATIONS.iter().filter(|o| fits(o.path)).map(|o| o.method).collect()
}

/// The document (OpenAPI 3.1).
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let described = described(operation, &mut generator);
        let path = paths.entry(format!("/_mock{}", operation.path)).or_insert_with(|| json!({}));
        path[operation.method.to_lowercase()] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mock-idp control API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "On loopback it is open; elsewhere it needs the admin token as a bearer token.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://localhost:8080" }],
        "security": [{}, { "admin": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "admin": { "type": "http", "scheme": "bearer" } },
            "schemas": generator.take_definitions(true),
        },
    })
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = operation
        .query
        .iter()
        .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } }))
        .collect();
    if operation.path.contains("{id}") {
        parameters
            .push(json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    let mut answer = json!({ "description": "Done" });
    if let Some(schema) = operation.answer {
        answer["content"] = json!({ "application/json": { "schema": schema(generator) } });
    }
    let refused = json!({ "description": "Refused; `error` says why",
        "content": { "application/json": { "schema": {
            "type": "object", "properties": { "error": { "type": "string" } }, "required": ["error"] } } } });
    let name = format!("{} {}", operation.method.to_lowercase(), operation.path.trim_start_matches('/'));
    let mut described = json!({
        "operationId": name.replace(|c: char| !c.is_ascii_alphanumeric(), "-").trim_end_matches('-').replace("--", "-"),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": { operation.status.to_string(): answer, "4XX": refused },
    });
    if let Some(schema) = operation.request {
        described["requestBody"] =
            json!({ "content": { "application/json": { "schema": schema(generator) } } });
    }
    described
}
