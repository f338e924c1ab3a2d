//! Flight SQL: the calls of one operation, and the log-in by Handshake.

mod channel;
mod handshake;
mod lax;
mod operation;

pub(crate) use channel::{Connection, Slot};
pub(crate) use handshake::{authorization_value, basic_value, log_in};
pub(crate) use operation::{Broken, Call, Operation, run};
