//! Handles of statements and tickets. They carry the SQL, so that a record can say what a call was about, and the id of
//! what the server keeps for them. Any SQL text is a handle too: some clients make their own.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tonic::Status;

/// No SQL begins so.
const MARK: &[u8] = b"\0fc1";

/// What a handle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handle {
    /// The SQL.
    pub(crate) sql: String,
    /// What the server keeps under this id; nothing for a handle that a client made.
    pub(crate) id: Option<String>,
}

impl Handle {
    pub(crate) fn encode(&self) -> Bytes {
        let json = serde_json::to_vec(self).expect("a text and an id are JSON");
        [MARK, &json].concat().into()
    }

    /// # Errors
    /// INVALID_ARGUMENT for bytes that are neither.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Status> {
        let foreign = || Status::invalid_argument("the handle is neither one of this server nor SQL text");
        match bytes.strip_prefix(MARK) {
            Some(json) => serde_json::from_slice(json).map_err(|_| foreign()),
            None => {
                let sql = std::str::from_utf8(bytes).map_err(|_| foreign())?.to_owned();
                Ok(Self { sql, id: None })
            }
        }
    }
}

/// InfluxDB 3's ticket: JSON with the SQL in it, without any Flight SQL command.
#[derive(Debug, Deserialize)]
pub(crate) struct JsonTicket {
    sql_query: String,
    query_type: Option<String>,
}

impl JsonTicket {
    /// The ticket, if the bytes are a JSON object at all.
    pub(crate) fn read(bytes: &[u8]) -> Option<Result<Self, Status>> {
        // A Flight SQL ticket begins with the tag of its type's URL, which is no brace.
        bytes.first().filter(|first| **first == b'{')?;
        Some(serde_json::from_slice(bytes).map_err(|error| {
            Status::invalid_argument(format!(
                "the ticket is JSON, but not {{\"database\", \"sql_query\", \"query_type\"}}: {error}"
            ))
        }))
    }

    /// # Errors
    /// INVALID_ARGUMENT for InfluxQL.
    pub(crate) fn sql(self) -> Result<String, Status> {
        match self.query_type.as_deref() {
            None | Some("" | "sql") => Ok(self.sql_query),
            Some(other) => {
                Err(Status::invalid_argument(format!("query_type `{other}` is not supported, only `sql`")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_read_as_it_was_written() {
        let handle = Handle { sql: "SELECT 'é'".into(), id: Some("t-1".into()) };
        assert_eq!(Handle::decode(&handle.encode()).ok(), Some(handle));
    }

    #[test]
    fn sql_text_is_a_handle() {
        assert_eq!(Handle::decode(b"SELECT 1").ok(), Some(Handle { sql: "SELECT 1".into(), id: None }));
        assert!(Handle::decode(b"\0fc1{").is_err());
        assert!(Handle::decode(b"\xff\xff").is_err());
    }

    #[test]
    fn json_tickets_hold_sql() {
        let read = |text: &str| JsonTicket::read(text.as_bytes()).map(|t| t.and_then(JsonTicket::sql).ok());
        assert_eq!(
            read(r#"{"database":"d","sql_query":"SELECT 1","query_type":"sql"}"#),
            Some(Some("SELECT 1".into()))
        );
        assert_eq!(read(r#"{"sql_query":"SELECT 1"}"#), Some(Some("SELECT 1".into())));
        assert_eq!(read(r#"{"sql_query":"SHOW","query_type":"influxql"}"#), Some(None));
        assert_eq!(read("{"), Some(None));
        assert_eq!(read("\n$type.googleapis.com"), None);
    }
}
