//! Bytes from strangers, for each parser: whatever they are, it answers and does not panic.

use arrow_flight::{Action, FlightDescriptor, Ticket};
use prost::Message as _;

use crate::handle::{Handle, JsonTicket};
use crate::parameters;
use crate::request::Asked;
use crate::session::Options;
use crate::validate;
use crate::ways_in;

/// A command inside `Any`: of a descriptor, and of an action's body.
pub fn command(bytes: &[u8]) {
    let _ = Asked::by_descriptor(&FlightDescriptor::new_cmd(bytes.to_vec()));
    let _ = Asked::by_action(&Action { r#type: "CloseSession".into(), body: bytes.to_vec().into() });
    let _ = Options::decode(bytes);
    let _ = parameters::numbered(&String::from_utf8_lossy(bytes));
}

/// A ticket: a handle of ours, SQL text, or InfluxDB's JSON.
pub fn ticket(bytes: &[u8]) {
    let _ = Handle::decode(bytes);
    let _ = JsonTicket::read(bytes).map(|ticket| ticket.map(JsonTicket::sql));
    let _ = Asked::by_ticket(&Ticket::new(bytes.to_vec()));
}

/// A token, as it is read before its signature is known to be good.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = validate::unverified(&text, None);
    let _ = validate::remaining_ms(&text);
}

/// The credential of a Handshake.
pub fn handshake(bytes: &[u8]) {
    let _ = ways_in::basic(&String::from_utf8_lossy(bytes));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes, and texts that look a little like what a parser expects.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            any::<Vec<u8>>(),
            any::<Vec<u8>>().prop_map(|rest| [b"\0fc1{\"sql\":".to_vec(), rest].concat()),
            any::<Vec<u8>>().prop_map(|rest| [b"{\"sql_query\":\"".to_vec(), rest].concat()),
            any::<(Vec<u8>, String)>().prop_map(|(value, name)| {
                let type_url = format!("type.googleapis.com/arrow.flight.protocol.sql.{name}");
                arrow_flight::sql::Any { type_url, value: value.into() }.encode_to_vec()
            }),
            ("[A-Za-z0-9_-]{0,20}", "[A-Za-z0-9_-]{0,40}", "[A-Za-z0-9_=-]{0,40}")
                .prop_map(|(a, b, c)| format!("{a}.{b}.{c}").into_bytes()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_parser_panics(bytes in bytes()) {
            command(&bytes);
            ticket(&bytes);
            token(&bytes);
            handshake(&bytes);
        }

        #[test]
        fn a_handle_is_read_as_it_was_written(sql in any::<String>(), id in any::<Option<String>>()) {
            let handle = Handle { sql, id };
            prop_assert_eq!(Handle::decode(&handle.encode()).ok(), Some(handle));
        }
    }
}
