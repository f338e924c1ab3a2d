//! Tests of the mock over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod control;
mod documents;
mod embedding;
mod faults_on_the_wire;
mod isolation;
mod limits;
mod mistakes;
mod profiles;
mod program;
mod properties;
mod protocol;
mod relying_parties;
mod rig;

#[path = "../support/running.rs"]
mod running;
