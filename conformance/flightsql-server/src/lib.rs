//! The reference Flight SQL server: real SQL, strict authentication, a record of everything, faults on request.
//!
//! A server is a value: [`FlightSqlServer::start`] puts one on free ports, and dropping it stops it, streams in flight
//! included. It trusts the issuers that it is told of, meets them over HTTP alone, never judges and never prints.

// The server and who comes in.
mod attribution;
mod config;
mod connection;
mod defect;
mod fault;
mod gate;
pub mod issuer_tls;
mod jwks;
mod record;
mod remembered;
mod rendezvous;
mod request;
mod secret;
mod server;
mod stream;
mod validate;
mod ways_in;
mod wire;

// Flight SQL.
mod actions;
mod error;
mod handle;
mod ids;
mod metadata;
mod parameters;
mod put;
mod query;
mod service;
mod session;
mod sql_info;
mod statements;

#[cfg(any(test, feature = "fuzzing"))]
pub mod untrusted;

// The engine and its tables.
mod database;
mod demo;
mod engine;
mod files;
mod moving;
mod snapshot;
mod transaction;

pub use attribution::Attribution;
pub use config::{Config, HandshakeAnswer, Http2, ListenerTls, StartError, TrustedIssuer, WaysIn};
pub use defect::Defect;
pub use engine::{Clock, Engine, Limits};
pub use fault::{Fault, FaultKind, Method, Moment};
pub use files::TableError;
pub use jsonwebtoken::Algorithm;
pub use record::{Presented, Record, Recorder, Rpc, StreamEnd, TokenState};
pub use rendezvous::Rendezvous;
pub use secret::Secret;
pub use server::FlightSqlServer;
pub use tonic::Code;
