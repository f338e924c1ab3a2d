//! An OpenID provider for tests, with faults on request.
//!
//! A mock is a value: [`MockIdp::start`] puts one on free ports, and dropping it stops it. It answers as the
//! specifications say, except where a [`Fault`] says otherwise, and records everything that reaches it. It never judges
//! and never prints.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::time::Duration;
//! use mock_idp::{Config, Endpoint, Fault, FaultKind, Filter, MockIdp};
//!
//! let idp = MockIdp::start(Config::default()).await.unwrap();
//! assert!(idp.discovery_url().ends_with("/.well-known/openid-configuration"));
//!
//! // The next request for a token gets no answer for a while; all others are answered as they should be.
//! idp.add_fault(Fault::once(Endpoint::Token, FaultKind::delay(Duration::from_millis(200))));
//!
//! // ... let the client under test run against `idp.issuer()` ...
//!
//! let requests = idp.exchanges(&Filter { endpoint: Some(Endpoint::Token), ..Filter::default() });
//! assert!(requests.is_empty(), "nobody asked yet");
//! # });
//! ```
//!
//! Modules in the order in which a request meets them: a listener takes a connection, the service finds issuer and
//! endpoint, faults are looked up, the endpoint answers, faults change the answer, the record keeps both.

mod admin;
mod answer;
mod assertion;
mod authorization;
mod call;
mod client_auth;
mod clock;
mod config;
mod device;
mod discovery;
mod dpop;
mod elsewhere;
mod end_session;
mod endpoint;
mod host;
mod html;
mod introspection;
mod issuer;
mod jwt;
mod key_import;
mod key_pool;
mod key_ring;
mod listener;
mod log;
mod login;
mod metrics;
mod mint;
mod parse;
mod place;
mod pushed;
mod record;
mod redaction;
mod registration;
mod revocation;
mod secret;
mod server;
mod service;
mod signer;
mod store;
mod syn;
mod token;
mod userinfo;
mod wire;

#[doc(hidden)]
pub mod did_you_mean;
pub mod fault;
pub mod file;
pub mod profile;
pub mod tls;

pub use admin::openapi;
pub use clock::{Clock, ClockChange, ClockReading};
pub use config::{
    Admin, Alg, ClaimsRule, Client, ClientAuth, Clients, Config, ErrorStyle, ExpiresIn, GrantKind, Listeners,
    Login, Protocol, Quirks, Scheme, ScopeClaim, StartError, TokenConfig, TokenFormat, User,
};
pub use elsewhere::OtherOrigin;
pub use endpoint::{Endpoint, Paths};
pub use fault::{Fault, FaultKind, FaultRequest, Scope, Stall, TlsFault, Which};
pub use key_pool::KeyPool;
pub use log::{Exchange, Filter};
pub use mint::{TokenOrder, TokenPart, Twice};
#[doc(hidden)]
pub use parse::parse_anything;
pub use record::{IssuedToken, Party, Presented, Record, Recorder, TokenRequest, Via};
pub use secret::Secret;
pub use server::{MockIdp, Surroundings};

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
