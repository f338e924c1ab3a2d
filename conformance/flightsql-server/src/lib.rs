//! The reference Flight SQL server: real SQL, strict authentication, a record of everything, faults on request.
//!
//! A server is a value: [`FlightSqlServer::start`] puts one on free ports, and dropping it stops it, streams in flight
//! included. It trusts the issuers that it is told of, meets them over HTTP alone, never judges and never prints.

mod attribution;
mod config;
mod connection;
mod engine;
mod fault;
mod gate;
mod jwks;
mod metadata;
mod record;
mod rendezvous;
mod request;
mod secret;
mod server;
mod service;
mod stream;
mod validate;
mod ways_in;

pub use config::{Config, StartError, TrustedIssuer, WaysIn};
pub use engine::Engine;
pub use fault::{Fault, FaultKind, Method, Moment};
pub use jsonwebtoken::Algorithm;
pub use record::{Presented, Record, Recorder, Rpc, StreamEnd, TokenState};
pub use rendezvous::Rendezvous;
pub use secret::Secret;
pub use server::FlightSqlServer;
pub use tonic::Code;
