//! A streamed answer that counts what it hands over, breaks where a fault says so, and tells of its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::ipc::root_as_message;
use arrow_flight::FlightData;
use futures::Stream;
use futures::stream::BoxStream;
use tonic::{Code, Status};

use crate::record::{Record, Recorder, StreamEnd, code_name};

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

/// The stream of a DoGet.
pub(crate) struct Told {
    inner: BoxStream<'static, Result<FlightData, Status>>,
    break_after: Option<(usize, Status)>,
    handed: usize,
    teller: EndTeller,
    ended: bool,
}

impl Told {
    pub(crate) fn new(
        inner: BoxStream<'static, Result<FlightData, Status>>,
        break_after: Option<(usize, Status)>,
        teller: EndTeller,
    ) -> Self {
        Self { inner, break_after, handed: 0, teller, ended: false }
    }
}

impl Stream for Told {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let broken =
            self.break_after.as_ref().filter(|(after, _)| self.handed >= *after).map(|(_, s)| s.clone());
        let next = match broken {
            Some(status) => Poll::Ready(Some(Err(status))),
            None => self.inner.as_mut().poll_next(context),
        };
        match &next {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(data))) => {
                self.handed += 1;
                let bytes = data.data_header.len() + data.data_body.len();
                self.teller.count(rows_of(data), bytes as u64);
            }
            Poll::Ready(Some(Err(status))) => {
                let code = status.code();
                self.ended = true;
                self.teller.tell(code);
            }
            Poll::Ready(None) => match self.break_after.take() {
                // The answer was shorter than the place where it should break: it breaks at its end.
                Some((_, status)) => {
                    self.ended = true;
                    self.teller.tell(status.code());
                    return Poll::Ready(Some(Err(status)));
                }
                None => {
                    self.ended = true;
                    self.teller.tell(Code::Ok);
                }
            },
        }
        next
    }
}

/// Rows of a record batch message; none in a schema or a dictionary.
fn rows_of(data: &FlightData) -> u64 {
    root_as_message(&data.data_header)
        .ok()
        .and_then(|message| message.header_as_record_batch().map(|batch| batch.length()))
        .map_or(0, |rows| u64::try_from(rows).unwrap_or(0))
}
