//! What a call asks for: command and SQL, read from descriptor, ticket or action.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_flight::sql::{Any, Command};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use prost::Message as _;

use crate::handle::{Handle, JsonTicket};
use crate::stream::{bytes_of, rows_of};

/// Command and SQL of a call, as far as it has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) command: Option<String>,
    pub(crate) sql: Option<String>,
}

/// A place to note what a call asks for, and how much it puts, when that turns out later than its head.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted(Arc<Mutex<Put>>);

/// What came with a call.
#[derive(Debug, Default)]
pub(crate) struct Put {
    pub(crate) asked: Option<Asked>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Noted {
    pub(crate) fn set(&self, asked: Asked) {
        self.put().asked = Some(asked);
    }

    pub(crate) fn count(&self, data: &FlightData) {
        let mut put = self.put();
        // What a message says of itself may be a lie.
        put.rows = put.rows.saturating_add(rows_of(data));
        put.bytes += bytes_of(data);
    }

    pub(crate) fn take(&self) -> Put {
        std::mem::take(&mut *self.put())
    }

    fn put(&self) -> MutexGuard<'_, Put> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    pub(crate) fn by_descriptor(descriptor: &FlightDescriptor) -> Self {
        Self::by_bytes(&descriptor.cmd)
    }

    pub(crate) fn by_ticket(ticket: &Ticket) -> Self {
        if let Some(json) = JsonTicket::read(&ticket.ticket) {
            return Self { command: Some("JsonTicket".to_owned()), sql: json.and_then(JsonTicket::sql).ok() };
        }
        Self::by_bytes(&ticket.ticket)
    }

    pub(crate) fn by_action(action: &Action) -> Self {
        let asked = Self::by_bytes(&action.body);
        Self { command: Some(action.r#type.clone()), sql: asked.sql }
    }

    fn by_bytes(bytes: &[u8]) -> Self {
        let Ok(any) = Any::decode(bytes) else { return Self::default() };
        let name = any.type_url.rsplit(['/', '.']).next().unwrap_or_default();
        let name = ["CommandPrepared", "Command", "Ticket", "Action"]
            .iter()
            .find_map(|prefix| {
                name.strip_prefix(prefix).map(|rest| {
                    if *prefix == "CommandPrepared" { format!("Prepared{rest}") } else { rest.to_owned() }
                })
            })
            .unwrap_or_else(|| name.to_owned());
        Self { command: (!name.is_empty()).then_some(name), sql: sql_of(any) }
    }
}

/// The SQL of a statement; handles of this server carry the SQL.
fn sql_of(any: Any) -> Option<String> {
    let text = |bytes: &[u8]| Handle::decode(bytes).ok().map(|handle| handle.sql);
    match Command::try_from(any).ok()? {
        Command::CommandStatementQuery(c) => Some(c.query),
        Command::CommandStatementUpdate(c) => Some(c.query),
        Command::ActionCreatePreparedStatementRequest(c) => Some(c.query),
        Command::CommandPreparedStatementQuery(c) => text(&c.prepared_statement_handle),
        Command::ActionClosePreparedStatementRequest(c) => text(&c.prepared_statement_handle),
        Command::TicketStatementQuery(c) => text(&c.statement_handle),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::sql::{CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt as _};

    use super::*;

    #[test]
    fn command_and_sql_are_read_from_the_any() {
        let command = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
        let asked = Asked::by_bytes(&command.as_any().encode_to_vec());
        assert_eq!(asked, Asked { command: Some("StatementQuery".into()), sql: Some("SELECT 1".into()) });
        let command = CommandPreparedStatementQuery { prepared_statement_handle: "SELECT 2".into() };
        let asked = Asked::by_bytes(&command.as_any().encode_to_vec());
        assert_eq!(
            asked,
            Asked { command: Some("PreparedStatementQuery".into()), sql: Some("SELECT 2".into()) }
        );
        assert_eq!(Asked::by_bytes(b"\xff\xff"), Asked::default());
    }
}
