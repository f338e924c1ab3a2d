//! The gate before the service: who is it, what is asked, what goes wrong on purpose; then the service, then the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as FlightResult, SchemaResult, Ticket,
};
use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::attribution;
use crate::connection::Peer;
use crate::fault::{Effect, Faults, Method};
use crate::handle::JsonTicket;
use crate::query::{Caller, Sql};
use crate::record::{Record, Recorder, Rpc, StreamEnd, code_name};
use crate::rendezvous::Meeting;
use crate::request::Asked;
use crate::stream::{EndTeller, Told};
use crate::ways_in::{Door, Judged};

/// What a gate and the server that owns it share.
pub(crate) struct Shared {
    pub(crate) door: Door,
    pub(crate) faults: Faults,
    pub(crate) meeting: Option<Meeting>,
    pub(crate) recorder: Recorder,
    pub(crate) next: AtomicU64,
}

/// The service with its gate.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sql: Arc<Sql>,
}

/// A call that was let in.
struct Entered {
    caller: Caller,
    teller: EndTeller,
    break_after: Option<(usize, Status)>,
}

impl Gate {
    /// Judges and records the head of a call; its faults and meetings come next.
    async fn enter<T>(&self, method: &str, asked: Asked, request: &Request<T>) -> Result<Entered, Status> {
        let judged = self.shared.door.judge(request.metadata()).await;
        let peer = peer_of(request);
        let (mut teller, principal) = self.record(method, asked.clone(), &peer, request.metadata(), judged);
        match principal {
            Ok(principal) => {
                let caller = Caller { principal };
                self.within(Method::named(method), asked.sql.is_some(), teller, caller).await
            }
            Err(status) => {
                teller.tell(status.code());
                Err(status)
            }
        }
    }

    async fn within(
        &self,
        method: Method,
        is_statement: bool,
        mut teller: EndTeller,
        caller: Caller,
    ) -> Result<Entered, Status> {
        if let Some(meeting) = self.shared.meeting.as_ref().filter(|_| is_statement)
            && let Some(parties) = meeting.join(method).await
        {
            let method = format!("{method:?}");
            (self.shared.recorder)(Record::Rendezvous { method, parties });
        }
        let mut break_after = None;
        match self.shared.faults.hit(method, is_statement) {
            None => {}
            Some(Effect::Refuse(status)) => {
                teller.tell(status.code());
                return Err(status);
            }
            Some(Effect::BreakAfter { messages, status }) => break_after = Some((messages, status)),
            Some(Effect::Silence) => std::future::pending::<()>().await,
            Some(Effect::Delay(time)) => tokio::time::sleep(time).await,
        }
        Ok(Entered { caller, teller, break_after })
    }

    fn record(
        &self,
        method: &str,
        asked: Asked,
        peer: &Peer,
        metadata: &MetadataMap,
        judged: Judged,
    ) -> (EndTeller, Result<String, Status>) {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let end = StreamEnd {
            rpc: id,
            listener: peer.listener.clone(),
            method: method.to_owned(),
            command: asked.command.clone(),
            sql: asked.sql.clone(),
            rows: 0,
            bytes: 0,
            code: String::new(),
            aborted_by_peer: false,
        };
        (self.shared.recorder)(Record::Rpc(Box::new(Rpc {
            id,
            listener: peer.listener.clone(),
            peer_port: peer.port,
            method: method.to_owned(),
            command: asked.command,
            sql: asked.sql,
            authorization: judged.presented,
            attribution: attribution::of(metadata),
            principal: judged.principal.as_ref().ok().cloned(),
            refused: judged.principal.as_ref().err().map(|status| code_name(status.code())),
            remaining_ms: judged.remaining_ms,
        })));
        (EndTeller::new(end, self.shared.recorder.clone()), judged.principal)
    }
}

fn peer_of<T>(request: &Request<T>) -> Peer {
    request.extensions().get::<Peer>().cloned().unwrap_or_default()
}

/// The request, with who makes it.
fn by<T>(entered: &Entered, mut request: Request<T>) -> Request<T> {
    request.extensions_mut().insert(entered.caller.clone());
    request
}

/// Tells of the end of a call with a single answer.
fn told<T>(mut entered: Entered, answer: Result<T, Status>) -> Result<T, Status> {
    entered.teller.tell(answer.as_ref().map_or_else(Status::code, |_| Code::Ok));
    answer
}

type Results<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Gate {
    type HandshakeStream = Results<HandshakeResponse>;
    type ListFlightsStream = Results<FlightInfo>;
    type DoGetStream = Results<FlightData>;
    type DoPutStream = Results<PutResult>;
    type DoActionStream = Results<FlightResult>;
    type ListActionsStream = Results<ActionType>;
    type DoExchangeStream = Results<FlightData>;

    /// Answered without waiting for a message: some clients send none and wait for the headers.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let (judged, token) = self.shared.door.handshake(request.metadata()).await;
        let peer = peer_of(&request);
        let asked = Asked::default();
        let (mut teller, principal) = self.record("Handshake", asked, &peer, request.metadata(), judged);
        let principal = principal.inspect_err(|status| teller.tell(status.code()))?;
        let mut entered = self.within(Method::Handshake, false, teller, Caller { principal }).await?;
        let mut response: Response<Self::HandshakeStream> = match &token {
            Some(token) => {
                let payload = token.clone().into_bytes().into();
                let message = HandshakeResponse { protocol_version: 0, payload };
                Response::new(futures::stream::once(async { Ok(message) }).boxed())
            }
            None => Response::new(futures::stream::empty().boxed()),
        };
        if let Some(value) = token.and_then(|t| format!("Bearer {t}").parse().ok()) {
            response.metadata_mut().insert("authorization", value);
        }
        entered.teller.tell(Code::Ok);
        Ok(response)
    }

    async fn list_flights(
        &self,
        request: Request<Criteria>,
    ) -> Result<Response<Self::ListFlightsStream>, Status> {
        let entered = self.enter("ListFlights", Asked::default(), &request).await?;
        told(entered, Err(Status::unimplemented("ListFlights is not supported; use Flight SQL")))
    }

    async fn get_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let asked = Asked::by_descriptor(request.get_ref());
        let entered = self.enter("GetFlightInfo", asked, &request).await?;
        let answer = self.sql.get_flight_info(by(&entered, request)).await;
        told(entered, answer)
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let asked = Asked::by_descriptor(request.get_ref());
        let entered = self.enter("PollFlightInfo", asked, &request).await?;
        // Results are ready when they are asked for: the first poll is the last.
        let answer = self.sql.get_flight_info(by(&entered, request)).await;
        let done = |info: Response<FlightInfo>| Response::new(PollInfo::new().with_info(info.into_inner()));
        told(entered, answer.map(done))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let asked = Asked::by_descriptor(request.get_ref());
        let entered = self.enter("GetSchema", asked, &request).await?;
        let answer = self.sql.get_flight_info(by(&entered, request)).await;
        told(entered, answer.map(|info| Response::new(SchemaResult { schema: info.into_inner().schema })))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let asked = Asked::by_ticket(request.get_ref());
        let mut entered = self.enter("DoGet", asked, &request).await?;
        let answer = match JsonTicket::read(&request.get_ref().ticket) {
            None => self.sql.do_get(by(&entered, request)).await,
            Some(json) => match json.and_then(JsonTicket::sql) {
                Ok(sql) => self.sql.read(&entered.caller, sql.as_bytes()).await,
                Err(status) => Err(status),
            },
        };
        match answer {
            Ok(response) => {
                let told = Told::new(response.into_inner().boxed(), entered.break_after, entered.teller);
                Ok(Response::new(told.boxed()))
            }
            Err(status) => {
                entered.teller.tell(status.code());
                Err(status)
            }
        }
    }

    async fn do_put(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoPutStream>, Status> {
        let entered = self.enter("DoPut", Asked::default(), &request).await?;
        let answer = self.sql.do_put(by(&entered, request)).await;
        told(entered, answer.map(|response| response.map(StreamExt::boxed)))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let asked = Asked::by_action(request.get_ref());
        let entered = self.enter("DoAction", asked, &request).await?;
        let answer = self.sql.do_action(by(&entered, request)).await;
        told(entered, answer.map(|response| response.map(StreamExt::boxed)))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let entered = self.enter("ListActions", Asked::default(), &request).await?;
        let answer = self.sql.list_actions(request).await;
        told(entered, answer.map(|response| Response::new(response.into_inner().boxed())))
    }

    async fn do_exchange(
        &self,
        request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        let entered = self.enter("DoExchange", Asked::default(), &request).await?;
        told(entered, Err(Status::unimplemented("DoExchange is not supported")))
    }
}
