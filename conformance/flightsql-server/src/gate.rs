//! The gate before the service: who is it, what is asked, what goes wrong on purpose; then the service, then the end.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_flight::flight_service_server::FlightService;
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, Location, PollInfo, PutResult, Result as FlightResult, SchemaResult, Ticket,
};
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::attribution;
use crate::connection::Peer;
use crate::fault::{Break, Effects, Faults, Method, Target};
use crate::handle::JsonTicket;
use crate::query::{Caller, Purpose, Sql};
use crate::record::{Record, Recorder, Rpc, StreamEnd, code_name};
use crate::rendezvous::Meeting;
use crate::request::{Asked, Noted};
use crate::secret::Secret;
use crate::stream::{EndTeller, Told, Trouble};
use crate::ways_in::{Door, Judged};
use crate::wire::{Control, Cut};

/// What a gate and the server that owns it share.
pub(crate) struct Shared {
    pub(crate) door: Door,
    pub(crate) faults: Faults,
    pub(crate) meeting: Option<Meeting>,
    pub(crate) recorder: Recorder,
    pub(crate) next: AtomicU64,
    /// Where endpoints say that results are, by listener, where it is not what the server says.
    pub(crate) locations: Mutex<BTreeMap<String, Vec<String>>>,
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
    trouble: Trouble,
    /// What a Handshake gives instead of its token.
    token: Option<Option<Secret>>,
}

/// The head of a call that a fault may look at.
struct Head<'c> {
    method: Method,
    asked: &'c Asked,
    credentials: Vec<Secret>,
    control: Option<Control>,
    listener: &'c str,
}

impl Gate {
    /// Judges and records the head of a call; its faults and meetings come next.
    async fn enter<T>(&self, method: &str, asked: Asked, request: &Request<T>) -> Result<Entered, Status> {
        let peer = peer_of(request);
        let judged = if self.shared.door.is_open(method) {
            Judged { presented: Vec::new(), remaining_ms: None, principal: Ok("anybody".to_owned()) }
        } else {
            self.shared.door.judge(request.metadata(), &peer).await
        };
        self.admit(method, &asked, request, &peer, judged).await
    }

    async fn admit<T>(
        &self,
        method: &str,
        asked: &Asked,
        request: &Request<T>,
        peer: &Peer,
        judged: Judged,
    ) -> Result<Entered, Status> {
        let head = Head {
            method: Method::named(method),
            asked,
            credentials: judged.presented.iter().map(|p| p.credential.clone()).collect(),
            control: request.extensions().get::<Control>().cloned(),
            listener: &peer.listener,
        };
        let (mut teller, principal) = self.record(method, asked.clone(), peer, request.metadata(), judged);
        let principal = principal.inspect_err(|status| teller.tell(status.code()))?;
        self.within(head, teller, Caller { principal }).await
    }

    /// Meetings and faults.
    async fn within(&self, head: Head<'_>, mut teller: EndTeller, caller: Caller) -> Result<Entered, Status> {
        let is_statement = head.asked.sql.is_some();
        if let Some(meeting) = self.shared.meeting.as_ref().filter(|_| is_statement)
            && let Some(parties) = meeting.join(head.method).await
        {
            let method = format!("{:?}", head.method);
            (self.shared.recorder)(Record::Rendezvous { method, parties });
        }
        let Effects { silence, delay, slow, go_away, headers, breaks, token, met } =
            self.shared.faults.hit(&Target {
                method: head.method,
                is_statement,
                command: head.asked.command.as_deref(),
                principal: &caller.principal,
                credentials: &head.credentials,
                listener: head.listener,
            });
        teller.met(met);
        if let Some(control) = &head.control {
            headers.iter().for_each(|(name, value)| control.add_header(name, value));
            if go_away {
                control.go_away();
            }
        }
        if silence {
            std::future::pending::<()>().await;
        }
        if let Some(time) = delay {
            tokio::time::sleep(time).await;
        }
        // Only a DoGet has a middle: everything else breaks instead of its answer.
        match breaks {
            Some((messages, how)) if messages == 0 || head.method != Method::DoGet => {
                Err(broken(how, head.control.as_ref(), &mut teller).await)
            }
            breaks => Ok(Entered {
                caller,
                teller,
                trouble: Trouble { breaks, slow, control: head.control },
                token,
            }),
        }
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
            cookies: cookies_of(metadata),
            headers: headers_of(metadata),
            principal: judged.principal.as_ref().ok().cloned(),
            refused: judged.principal.as_ref().err().map(|status| code_name(status.code())),
            remaining_ms: judged.remaining_ms,
        })));
        (EndTeller::new(end, self.shared.recorder.clone()), judged.principal)
    }
}

impl Gate {
    /// Where results are for who comes by this listener, if that is said of it.
    fn locations(&self, listener: &str) -> Option<Vec<String>> {
        self.shared.locations.lock().unwrap_or_else(PoisonError::into_inner).get(listener).cloned()
    }
}

/// The answer with these places in its endpoints.
fn located(mut info: FlightInfo, locations: Option<Vec<String>>) -> FlightInfo {
    if let Some(locations) = locations {
        let places: Vec<Location> = locations.into_iter().map(|uri| Location { uri }).collect();
        info.endpoint.iter_mut().for_each(|endpoint| endpoint.location.clone_from(&places));
    }
    info
}

/// Breaks a call that has no answer yet.
async fn broken(how: Break, control: Option<&Control>, teller: &mut EndTeller) -> Status {
    let cut = match how {
        Break::Status(status) => {
            teller.tell(status.code());
            return status;
        }
        Break::Stall => return std::future::pending().await,
        Break::Reset => Cut::Reset,
        Break::Disconnect => Cut::Disconnect,
    };
    if let Some(control) = control {
        control.cut(cut);
    }
    teller.tell(Code::Unknown);
    Status::unknown("cut on purpose")
}

fn peer_of<T>(request: &Request<T>) -> Peer {
    request.extensions().get::<Peer>().cloned().unwrap_or_default()
}

/// All headers with all their values, but for those that hold credentials.
fn headers_of(metadata: &MetadataMap) -> Vec<(String, Vec<String>)> {
    let names = metadata.as_ref().keys().filter(|name| !["authorization", "cookie"].contains(&name.as_str()));
    let values = |name: &http::HeaderName| {
        let values = metadata.as_ref().get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
    };
    names.map(|name| (name.as_str().to_owned(), values(name))).collect()
}

/// Every value of `cookie`.
fn cookies_of(metadata: &MetadataMap) -> Vec<Secret> {
    let values = metadata.as_ref().get_all("cookie").iter();
    values.map(|value| Secret::new(String::from_utf8_lossy(value.as_bytes()).into_owned())).collect()
}

/// The request, with who makes it.
fn by<T>(entered: &Entered, mut request: Request<T>) -> Request<T> {
    request.extensions_mut().insert(entered.caller.clone());
    request
}

/// The answer, also where the engine has a bug. Without this the call would be reset, and its record would say that the client
/// was gone.
async fn sound<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| Err(bug()))
}

/// INTERNAL.
pub(crate) fn bug() -> Status {
    Status::internal("a bug of this server; what it printed says where")
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
        let peer = peer_of(&request);
        let (judged, token) = self.shared.door.handshake(request.metadata(), &peer).await;
        let mut entered = self.admit("Handshake", &Asked::default(), &request, &peer, judged).await?;
        let token = match entered.token.take() {
            Some(instead) => instead.map(|token| token.expose().to_owned()),
            None => token,
        };
        entered.teller.tell(Code::Ok);
        Ok(self.shared.door.handshake_answer(token))
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
        let locations = self.locations(&peer_of(&request).listener);
        let answer = sound(self.sql.get_flight_info(by(&entered, request))).await;
        told(entered, answer.map(|info| info.map(|info| located(info, locations))))
    }

    async fn poll_flight_info(
        &self,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<PollInfo>, Status> {
        let asked = Asked::by_descriptor(request.get_ref());
        let entered = self.enter("PollFlightInfo", asked, &request).await?;
        // Results are ready when they are asked for: the first poll is the last.
        let answer = sound(self.sql.get_flight_info(by(&entered, request))).await;
        let done = |info: Response<FlightInfo>| Response::new(PollInfo::new().with_info(info.into_inner()));
        told(entered, answer.map(done))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let asked = Asked::by_descriptor(request.get_ref());
        let entered = self.enter("GetSchema", asked, &request).await?;
        let answer = {
            let mut request = by(&entered, request);
            request.extensions_mut().insert(Purpose::Describe);
            sound(self.sql.get_flight_info(request)).await
        };
        told(entered, answer.map(|info| Response::new(SchemaResult { schema: info.into_inner().schema })))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let asked = Asked::by_ticket(request.get_ref());
        let mut entered = self.enter("DoGet", asked, &request).await?;
        let answer = match JsonTicket::read(&request.get_ref().ticket) {
            None => sound(self.sql.do_get(by(&entered, request))).await,
            Some(json) => match json.and_then(JsonTicket::sql) {
                Ok(sql) => sound(self.sql.read(&entered.caller, sql.as_bytes())).await,
                Err(status) => Err(status),
            },
        };
        match answer {
            Ok(response) => {
                let told = Told::new(response.into_inner().boxed(), entered.trouble, entered.teller);
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
        let mut entered = self.enter("DoPut", Asked::default(), &request).await?;
        let noted = Noted::default();
        let mut request = by(&entered, request);
        request.extensions_mut().insert(noted.clone());
        let answer = sound(self.sql.do_put(request)).await;
        let put = noted.take();
        entered.teller.count(put.rows, put.bytes);
        if let Some(asked) = put.asked {
            entered.teller.asked(asked);
        }
        told(entered, answer.map(|response| response.map(StreamExt::boxed)))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let asked = Asked::by_action(request.get_ref());
        let entered = self.enter("DoAction", asked, &request).await?;
        let answer = sound(self.sql.do_action(by(&entered, request))).await;
        told(entered, answer.map(|response| response.map(StreamExt::boxed)))
    }

    async fn list_actions(
        &self,
        request: Request<Empty>,
    ) -> Result<Response<Self::ListActionsStream>, Status> {
        let entered = self.enter("ListActions", Asked::default(), &request).await?;
        let answer = sound(self.sql.list_actions(request)).await;
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_bug_is_an_answer() {
        let answer = sound(async { panic!("on purpose") }).await;
        assert_eq!(answer.map(|(): ()| ()).unwrap_err().code(), Code::Internal);
    }

    fn end() -> StreamEnd {
        StreamEnd {
            rpc: 1,
            listener: String::new(),
            method: "DoGet".to_owned(),
            command: None,
            sql: None,
            rows: 0,
            bytes: 0,
            code: String::new(),
            aborted_by_peer: false,
        }
    }

    #[tokio::test]
    async fn a_bug_in_mid_stream_is_its_end() {
        let (sender, records) = mpsc::channel();
        let recorder: Recorder = Arc::new(move |record| drop(sender.send(record)));
        let rows =
            stream::iter(0..).map(|n| if n < 2 { Ok(FlightData::default()) } else { panic!("on purpose") });
        let told = Told::new(rows.boxed(), Trouble::default(), EndTeller::new(end(), recorder));
        let codes: Vec<Code> = told.map(|next| next.map_or_else(|s| s.code(), |_| Code::Ok)).collect().await;
        assert_eq!(codes, [Code::Ok, Code::Ok, Code::Internal]);
        let Ok(Record::StreamEnd(end)) = records.recv() else { panic!("no end was told") };
        assert_eq!((end.code.as_str(), end.aborted_by_peer), ("INTERNAL", false));
    }
}
