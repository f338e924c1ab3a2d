//! Stamps facts and keeps them, in order, for one permutation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use scenario_model::event::{Event, Fact, HostStall};
use tokio::sync::Notify;

/// The trace of one permutation while it is made.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    events: Vec<Event>,
    open_rpcs: BTreeMap<String, u64>,
    closed: bool,
}

impl Recorder {
    /// Starts an empty trace; its times count from now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { start: Instant::now(), inner: Mutex::default(), changed: Notify::new() })
    }

    /// Time since the trace was started.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Records a fact at this moment.
    pub fn record(&self, fact: Fact) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.closed {
            return;
        }
        // The stamp is taken under the lock: position and time have the same order.
        let at_us = self.start.elapsed().as_micros() as u64;
        match &fact {
            Fact::ServerRpc(rpc) => *inner.open_rpcs.entry(rpc.session.clone()).or_default() += 1,
            Fact::ServerStreamEnd(end) => {
                let open = inner.open_rpcs.entry(end.session.clone()).or_default();
                *open = open.saturating_sub(1);
            }
            _ => {}
        }
        let seq = inner.events.len() as u64;
        inner.events.push(Event { seq, at_us, fact });
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Waits until no call of a session is open at the server, for at most `limit`: a reply can overtake the record.
    pub async fn settle(&self, session: &str, limit: Duration) {
        let _ = tokio::time::timeout(limit, async {
            loop {
                let changed = self.changed.notified();
                if self.open_rpcs(session) == 0 {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    fn open_rpcs(&self, session: &str) -> u64 {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.open_rpcs.get(session).copied().unwrap_or(0)
    }

    /// Ends the trace: later facts are not recorded any more.
    pub fn finish(&self) -> Vec<Event> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.closed = true;
        std::mem::take(&mut inner.events)
    }
}

/// Tells every living trace when the machine did not run us.
#[derive(Debug, Clone, Default)]
pub struct StallWatch {
    traces: Arc<Mutex<Vec<Weak<Recorder>>>>,
}

/// A heartbeat this much late is a stall.
const STALL: Duration = Duration::from_millis(250);

impl StallWatch {
    /// Starts two heartbeats, of the machine and of the runtime that everything here runs on; they end with the last
    /// clone. Call it inside a runtime.
    pub fn start() -> Self {
        let watch = Self::default();
        let traces = Arc::downgrade(&watch.traces);
        tokio::spawn(beat_in_the_runtime(traces.clone()));
        std::thread::Builder::new()
            .name("heartbeat".into())
            .spawn(move || {
                let mut last = Instant::now();
                while let Some(traces) = traces.upgrade() {
                    let gap = last.elapsed();
                    last = Instant::now();
                    if gap > STALL {
                        tell(&traces, gap);
                    }
                    drop(traces);
                    std::thread::sleep(Duration::from_millis(5));
                }
            })
            .expect("a thread can be started");
        watch
    }

    /// Stalls from now on go into this trace too.
    pub fn watch(&self, recorder: &Arc<Recorder>) {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.retain(|t| t.strong_count() > 0);
        traces.push(Arc::downgrade(recorder));
    }
}

/// A runtime with more to do than the machine can do is late for every moment, although the machine runs it.
async fn beat_in_the_runtime(traces: Weak<Mutex<Vec<Weak<Recorder>>>>) {
    loop {
        let before = Instant::now();
        tokio::time::sleep(Duration::from_millis(5)).await;
        let Some(traces) = traces.upgrade() else { return };
        let gap = before.elapsed();
        if gap > STALL {
            tell(&traces, gap);
        }
    }
}

fn tell(traces: &Mutex<Vec<Weak<Recorder>>>, gap: Duration) {
    let traces = traces.lock().unwrap_or_else(PoisonError::into_inner);
    for trace in traces.iter().filter_map(Weak::upgrade) {
        trace.record(Fact::HostStall(HostStall { gap_ms: gap.as_millis() as u64 }));
    }
}
