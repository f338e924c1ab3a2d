//! An OpenID provider for tests, with faults on request.
//!
//! An issuer is a value: [`MockIdp::start`] puts one on free ports, and dropping it stops it. It answers as the
//! specifications say, except where a [`Fault`] says otherwise, and records everything that reaches it. It never judges
//! and never prints.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use std::sync::Arc;
//! use mock_idp::{Config, KeyPool, MockIdp, Scheme};
//!
//! let mut config = Config::new(Arc::new(KeyPool::new()), Arc::new(|record| drop(record)));
//! config.scheme = Scheme::Http;
//! let issuer = MockIdp::start(config).await.unwrap();
//! assert!(issuer.discovery_url().ends_with("/.well-known/openid-configuration"));
//! # });
//! ```

mod access_token;
mod client_auth;
mod config;
mod discovery;
mod elsewhere;
mod fault;
mod issuer;
mod keys;
mod listener;
mod record;
mod secret;
mod service;
mod syn;
mod token;

pub mod file;
pub mod tls;

pub use config::{
    Alg, Client, ClientAuth, Clients, Config, Listeners, Scheme, StartError, TokenConfig, TokenFormat,
};
pub use elsewhere::OtherOrigin;
pub use fault::{Endpoint, Fault, FaultKind, Stall};
pub use issuer::MockIdp;
pub use keys::KeyPool;
pub use record::{IssuedToken, Party, Presented, Record, Recorder, TokenRequest, Via};
pub use secret::Secret;
