//! Bytes from strangers: whatever they are, every parser answers and none panics.

use arrow_flight::{Action, FlightDescriptor, Ticket};
use proptest::prelude::*;
use prost::Message as _;

use crate::handle::{Handle, JsonTicket};
use crate::parameters;
use crate::request::Asked;
use crate::session::Options;
use crate::validate;
use crate::ways_in;

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
        let _ = Handle::decode(&bytes);
        let _ = JsonTicket::read(&bytes).map(|ticket| ticket.map(JsonTicket::sql));
        let _ = Asked::by_ticket(&Ticket::new(bytes.clone()));
        let _ = Asked::by_descriptor(&FlightDescriptor::new_cmd(bytes.clone()));
        let _ = Asked::by_action(&Action { r#type: "CloseSession".into(), body: bytes.clone().into() });
        let _ = Options::decode(&*bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = parameters::numbered(&text);
        let _ = validate::unverified(&text, None);
        let _ = validate::remaining_ms(&text);
        let _ = ways_in::basic(&text);
    }

    #[test]
    fn a_handle_is_read_as_it_was_written(sql in any::<String>(), id in any::<Option<String>>()) {
        let handle = Handle { sql, id };
        prop_assert_eq!(Handle::decode(&handle.encode()).ok(), Some(handle));
    }
}
