//! Bytes from strangers, for each parser: whatever they are, it answers and does not panic.

use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Any, CommandGetTables, CommandStatementIngest,
    CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use futures::{TryStreamExt as _, executor, stream};
use prost::Message as _;

use crate::handle::{Handle, JsonTicket};
use crate::parameters;
use crate::put::Batches;
use crate::request::{Asked, Noted};
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

/// The rows of a DoPut: messages of Arrow's IPC format, here one after another as [`framed`] writes them.
pub fn rows(bytes: &[u8]) {
    let messages: Vec<_> = unframed(bytes).map(Ok).collect();
    let noted = Noted::default();
    messages.iter().flatten().for_each(|message| noted.count(message));
    let _ = executor::block_on(Batches::read(stream::iter(messages)).parameters());
}

/// Length of header and body as 32 bits each, little-endian, then header and body; a length beyond the end is cut.
fn unframed(mut bytes: &[u8]) -> impl Iterator<Item = FlightData> {
    std::iter::from_fn(move || {
        let mut part = |length: usize| {
            let (part, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            part.to_vec()
        };
        let lengths: [u8; 8] = part(8).try_into().ok()?;
        let [a, b, c, d, e, f, g, h] = lengths;
        let (header, body) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let data_header = part(header as usize).into();
        Some(FlightData { data_header, data_body: part(body as usize).into(), ..FlightData::default() })
    })
}

fn framed(messages: &[FlightData]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        for part in [&message.data_header, &message.data_body] {
            bytes.extend((part.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(&message.data_header);
        bytes.extend_from_slice(&message.data_body);
    }
    bytes
}

/// What clients send when they mean well, by the parser that it is for: a fuzzer begins with it.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let sql = "SELECT '?', ? FROM logs WHERE a = $1 -- ?".to_owned();
    let command = |any: Any| ("command", any.encode_to_vec());
    vec![
        command(CommandStatementQuery { query: sql.clone(), transaction_id: None }.as_any()),
        command(CommandGetTables { include_schema: true, ..CommandGetTables::default() }.as_any()),
        command(
            CommandStatementIngest { table: "t".to_owned(), ..CommandStatementIngest::default() }.as_any(),
        ),
        command(ActionCreatePreparedStatementRequest { query: sql.clone(), transaction_id: None }.as_any()),
        ("ticket", Handle { sql, id: Some("1".to_owned()) }.encode().to_vec()),
        ("ticket", br#"{"database":"d","sql_query":"SELECT 1","query_type":"sql"}"#.to_vec()),
        (
            "token",
            b"eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJleHAiOjIwMDAwMDAwMDAsImF1ZCI6WyJhIl19.AAAA".to_vec(),
        ),
        ("handshake", b"Basic dXNlcjpwYXNz".to_vec()),
        ("rows", framed(&put_rows())),
    ]
}

/// A schema with a dictionary, a list and a number, and two rows.
fn put_rows() -> Vec<FlightData> {
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from(vec![Some(1), None]))),
        ("text", Arc::new(StringArray::from(vec![Some("a"), Some("bc")]))),
        ("word", Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("x"), None]))),
        ("list", Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let encoder = FlightDataEncoderBuilder::new().build(stream::iter([Ok(batch)]));
    executor::block_on(encoder.try_collect()).expect("they can be encoded")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

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

    #[test]
    fn the_rows_that_a_fuzzer_begins_with_are_read() {
        let seed = seeds().into_iter().find(|(parser, _)| *parser == "rows").expect("there is one");
        let messages: Vec<_> = unframed(&seed.1).map(Ok).collect();
        let sets = executor::block_on(Batches::read(stream::iter(messages)).parameters());
        assert_eq!(sets.expect("they are right").len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_parser_panics(bytes in bytes()) {
            for parse in [command, ticket, token, handshake, rows] {
                parse(&bytes);
            }
        }

        #[test]
        fn no_parser_panics_over_what_is_almost_right(seed in 0..seeds().len(), changes in vec(any::<(Index, u8)>(), 1..4)) {
            let (_, mut bytes) = seeds().swap_remove(seed);
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            for parse in [command, ticket, token, handshake, rows] {
                parse(&bytes);
            }
        }

        #[test]
        fn messages_are_read_as_they_were_framed(messages in vec(any::<(Vec<u8>, Vec<u8>)>(), 0..4)) {
            let messages: Vec<_> = messages
                .into_iter()
                .map(|(header, body)| FlightData { data_header: header.into(), data_body: body.into(), ..FlightData::default() })
                .collect();
            prop_assert_eq!(unframed(&framed(&messages)).collect::<Vec<_>>(), messages);
        }

        #[test]
        fn a_handle_is_read_as_it_was_written(sql in any::<String>(), id in any::<Option<String>>()) {
            let handle = Handle { sql, id };
            prop_assert_eq!(Handle::decode(&handle.encode()).ok(), Some(handle));
        }
    }
}
