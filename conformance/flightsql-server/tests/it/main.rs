//! The server as its clients see it: over real sockets, with arrow-flight's own client and with bare gRPC.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod certificates;
mod gate;
mod issuer;
mod metadata;
mod mock_idp;
mod program;
mod queries;
mod site;
mod tokens;
mod transactions;
mod updates;
