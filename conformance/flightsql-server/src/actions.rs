//! Actions of Flight itself: cancel, renew, sessions. Their bodies are bare messages, not wrapped in an `Any`.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use arrow_flight::sql::{Any, Command};
use arrow_flight::{
    Action, ActionType, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest, Result as FlightResult,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use prost::Message;
use tonic::{Request, Response, Status};

use crate::connection::Peer;
use crate::handle::Handle;
use crate::query::{Answer, Caller, Sql};
use crate::session::{self, Options, SessionName};

/// A renewed endpoint may be read for so long; longer, too, as tickets here do not expire.
const RENEWED_FOR: Duration = Duration::from_secs(600);

/// Names and descriptions.
pub(crate) const ACTIONS: [(&str, &str); 5] = [
    (
        "CancelFlightInfo",
        "Cancels a query by its FlightInfo.\nRequest: CancelFlightInfoRequest\nResponse: CancelFlightInfoResult",
    ),
    (
        "RenewFlightEndpoint",
        "Extends the life of an endpoint.\nRequest: RenewFlightEndpointRequest\nResponse: FlightEndpoint",
    ),
    (
        "SetSessionOptions",
        "Sets options of the session.\nRequest: SetSessionOptionsRequest\nResponse: SetSessionOptionsResult",
    ),
    (
        "GetSessionOptions",
        "Gets all options of the session.\nRequest: GetSessionOptionsRequest\nResponse: GetSessionOptionsResult",
    ),
    ("CloseSession", "Closes the session.\nRequest: CloseSessionRequest\nResponse: CloseSessionResult"),
];

/// As Flight lists them.
pub(crate) fn listed() -> Vec<Result<ActionType, Status>> {
    let listed = ACTIONS
        .iter()
        .map(|(name, text)| Ok(ActionType { r#type: (*name).to_owned(), description: (*text).to_owned() }));
    listed.collect()
}

impl Sql {
    /// Carries out an action that is not Flight SQL's.
    pub(crate) async fn act(
        &self,
        caller: &Caller,
        request: Request<Action>,
    ) -> Answer<BoxStream<'static, Result<FlightResult, Status>>> {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        let session = SessionName::of(&caller.principal, &peer, request.metadata());
        let has_cookie = session::cookie(request.metadata()).is_some();
        let action = request.into_inner();
        match action.r#type.as_str() {
            "CancelFlightInfo" => {
                let wanted: CancelFlightInfoRequest = read(&action)?;
                let status = self.cancel(caller, &wanted.info.unwrap_or_default());
                one(&CancelFlightInfoResult { status: status as i32 })
            }
            "RenewFlightEndpoint" => {
                let wanted: RenewFlightEndpointRequest = read(&action)?;
                let endpoint = wanted.endpoint.filter(|e| e.ticket.is_some());
                let mut endpoint =
                    endpoint.ok_or_else(|| Status::invalid_argument("there is no endpoint to renew"))?;
                endpoint.expiration_time = Some((now() + RENEWED_FOR).into());
                one(&endpoint)
            }
            "SetSessionOptions" => {
                let wanted: Options = read(&action)?;
                if has_cookie {
                    return one(&self.sessions.set(session, wanted));
                }
                // Both: a client that ignores the cookie has its options by its connection.
                let (cookie, by_cookie) = session::new_cookie(&caller.principal);
                self.sessions.set(by_cookie, wanted.clone());
                let mut answer = one(&self.sessions.set(session, wanted))?;
                if let Ok(value) = cookie.parse() {
                    answer.metadata_mut().insert("set-cookie", value);
                }
                Ok(answer)
            }
            "GetSessionOptions" => one(&self.sessions.get(&session)),
            "CloseSession" => one(&self.sessions.close(&session)),
            other => Err(Status::unimplemented(format!(
                "there is no action `{other}`; ListActions names those there are"
            ))),
        }
    }

    /// Ends the streams of a FlightInfo's tickets, those to come included.
    pub(crate) fn cancel(&self, caller: &Caller, info: &FlightInfo) -> CancelStatus {
        let promises = info.endpoint.iter().filter_map(|endpoint| {
            let id = promise_of(&endpoint.ticket.as_ref()?.ticket)?;
            self.promises.get(&caller.principal, &id)
        });
        let mut status = CancelStatus::NotCancellable;
        for promise in promises {
            let read_already = promise.readers.now.load(Ordering::SeqCst) == 0
                && promise.readers.ended.load(Ordering::SeqCst) > 0;
            if !read_already || promise.cancel.is_cancelled() {
                promise.cancel.cancel();
                status = CancelStatus::Cancelled;
            }
        }
        status
    }
}

/// The id of what a ticket promises.
fn promise_of(ticket: &[u8]) -> Option<String> {
    let handle = match Command::try_from(Any::decode(ticket).ok()?).ok()? {
        Command::TicketStatementQuery(ticket) => ticket.statement_handle,
        Command::CommandPreparedStatementQuery(ticket) => ticket.prepared_statement_handle,
        _ => return None,
    };
    Handle::decode(&handle).ok()?.id
}

fn read<T: Message + Default>(action: &Action) -> Result<T, Status> {
    T::decode(&*action.body).map_err(|error| {
        Status::invalid_argument(format!("the body of `{}` cannot be read: {error}", action.r#type))
    })
}

fn one(message: &impl Message) -> Answer<BoxStream<'static, Result<FlightResult, Status>>> {
    let result = FlightResult { body: message.encode_to_vec().into() };
    Ok(Response::new(stream::once(async { Ok(result) }).boxed()))
}

#[expect(clippy::disallowed_methods, reason = "a ticket's expiry is a time of day")]
fn now() -> SystemTime {
    SystemTime::now()
}
