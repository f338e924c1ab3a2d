//! A streamed answer that counts what it hands over, breaks where a fault says so, and tells of its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use futures::Stream;
use futures::stream::BoxStream;
use tokio::time::Sleep;
use tonic::{Code, Status};

use crate::fault::Break;
use crate::gate::bug;
use crate::record::{Record, Recorder, StreamEnd, code_name};
use crate::request::Asked;
use crate::wire::{Control, Cut};

/// Tells of the end of a call exactly once, also when it is dropped.
pub(crate) struct EndTeller {
    end: Option<StreamEnd>,
    recorder: Recorder,
}

impl EndTeller {
    pub(crate) fn new(end: StreamEnd, recorder: Recorder) -> Self {
        Self { end: Some(end), recorder }
    }

    /// Rows and bytes that were handed over.
    pub(crate) fn count(&mut self, rows: u64, bytes: u64) {
        if let Some(end) = &mut self.end {
            end.rows += rows;
            end.bytes += bytes;
        }
    }

    /// Tells of the faults that hit the call.
    pub(crate) fn met(&self, faults: Vec<&'static str>) {
        for fault in faults {
            let Some(StreamEnd { rpc, listener, method, .. }) = &self.end else { return };
            let (listener, method) = (listener.clone(), method.clone());
            (self.recorder)(Record::Fault { rpc: *rpc, listener, method, fault });
        }
    }

    /// What the call turned out to ask for.
    pub(crate) fn asked(&mut self, asked: Asked) {
        if let Some(end) = &mut self.end {
            end.command = asked.command;
            end.sql = asked.sql;
        }
    }

    /// The call ends with this code.
    pub(crate) fn tell(&mut self, code: Code) {
        if let Some(mut end) = self.end.take() {
            end.code = code_name(code);
            (self.recorder)(Record::StreamEnd(end));
        }
    }
}

impl Drop for EndTeller {
    fn drop(&mut self) {
        if let Some(mut end) = self.end.take() {
            end.code = code_name(Code::Cancelled);
            end.aborted_by_peer = true;
            (self.recorder)(Record::StreamEnd(end));
        }
    }
}

/// What goes wrong with a stream on purpose.
#[derive(Default)]
pub(crate) struct Trouble {
    /// After so many messages, or at the end of an answer that is shorter.
    pub(crate) breaks: Option<(usize, Break)>,
    /// So long before each message.
    pub(crate) slow: Option<Duration>,
    pub(crate) control: Option<Control>,
}

/// The stream of a DoGet.
pub(crate) struct Told {
    inner: BoxStream<'static, Result<FlightData, Status>>,
    trouble: Trouble,
    waiting: Option<Pin<Box<Sleep>>>,
    handed: usize,
    teller: EndTeller,
    ended: bool,
}

impl Told {
    pub(crate) fn new(
        inner: BoxStream<'static, Result<FlightData, Status>>,
        trouble: Trouble,
        teller: EndTeller,
    ) -> Self {
        let mut told = Self { inner, trouble, waiting: None, handed: 0, teller, ended: false };
        told.wait();
        told
    }

    fn wait(&mut self) {
        self.waiting = self.trouble.slow.map(|time| Box::pin(tokio::time::sleep(time)));
    }

    /// The stream breaks off here.
    fn broken(&mut self, how: Break) -> Poll<Option<Result<FlightData, Status>>> {
        let cut = match how {
            Break::Status(status) => {
                self.ended = true;
                self.teller.tell(status.code());
                return Poll::Ready(Some(Err(status)));
            }
            Break::Stall => None,
            Break::Reset => Some(Cut::Reset),
            Break::Disconnect => Some(Cut::Disconnect),
        };
        if let (Some(cut), Some(control)) = (cut, &self.trouble.control) {
            self.teller.tell(Code::Unknown);
            control.cut(cut);
        }
        // Whoever waits for more waits in vain; for a stall that is the point.
        Poll::Pending
    }
}

impl Stream for Told {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Some((_, how)) = self.trouble.breaks.clone().filter(|(after, _)| self.handed >= *after) {
            return self.broken(how);
        }
        if let Some(waiting) = &mut self.waiting {
            std::task::ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let inner = AssertUnwindSafe(|| self.inner.as_mut().poll_next(context));
        let next = match catch_unwind(inner) {
            Ok(next) => std::task::ready!(next),
            Err(_) => Some(Err(bug())),
        };
        match &next {
            Some(Ok(data)) => {
                self.handed += 1;
                self.teller.count(rows_of(data), bytes_of(data));
                self.wait();
            }
            Some(Err(status)) => {
                let code = status.code();
                self.ended = true;
                self.teller.tell(code);
            }
            None => match self.trouble.breaks.take() {
                // The answer was shorter than the place where it should break: it breaks at its end.
                Some((_, how)) => {
                    self.trouble.breaks = Some((0, how.clone()));
                    return self.broken(how);
                }
                None => {
                    self.ended = true;
                    self.teller.tell(Code::Ok);
                }
            },
        }
        Poll::Ready(next)
    }
}

/// Header and body of a message.
pub(crate) fn bytes_of(data: &FlightData) -> u64 {
    (data.data_header.len() + data.data_body.len()) as u64
}

/// Rows of a record batch message; none in a schema or a dictionary.
pub(crate) fn rows_of(data: &FlightData) -> u64 {
    root_as_message(&data.data_header)
        .ok()
        .and_then(|message| message.header_as_record_batch().map(|batch| batch.length()))
        .map_or(0, |rows| u64::try_from(rows).unwrap_or(0))
}
