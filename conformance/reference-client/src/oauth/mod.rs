//! OAuth client credentials: discovery, the token request, its answer, and the cache.

mod answer;
mod discovery;
mod provider;
mod request;
mod single_flight;
mod token;

pub(crate) use discovery::discover;
pub(crate) use provider::{Documents, TokenProvider};
pub(crate) use request::form_encode;
pub(crate) use single_flight::SingleFlight;
pub(crate) use token::Token;
