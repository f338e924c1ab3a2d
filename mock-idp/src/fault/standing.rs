//! The faults that stand, and which of them hits a request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::Notify;

use super::barrier::Barrier;
use super::{Event, Fault, FaultKind, Stall, TlsFault, catalogue};
use crate::endpoint::Endpoint;

/// More faults than this at once are a mistake.
const MOST: usize = 1000;
/// A barrier without a lifetime lets go after this.
const BARRIER: Duration = Duration::from_secs(300);

/// What a listener does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Refused,
    Blackhole,
}

/// What is done to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionFault {
    Reset,
    Silent,
    Tls(TlsFault),
}

/// What is known of a request when faults are looked up.
pub(crate) struct Moment<'r> {
    pub(crate) endpoint: Endpoint,
    pub(crate) issuer: &'r str,
    pub(crate) client: Option<&'r str>,
    pub(crate) grant: Option<&'r str>,
    /// The issuer's clock.
    pub(crate) now: f64,
}

/// The faults that hit a request, in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hits(pub(crate) Vec<Hit>);

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) id: String,
    pub(crate) kind: FaultKind,
    /// Number of this hit, for what is random by a seed.
    pub(crate) random: u64,
    pub(crate) barrier: Option<(Arc<Barrier>, Duration)>,
}

impl Hits {
    /// These faults, whatever stands.
    pub(crate) fn of(kinds: impl IntoIterator<Item = FaultKind>) -> Self {
        let hit = |kind| Hit { id: String::new(), kind, random: 0, barrier: None };
        Self(kinds.into_iter().map(hit).collect())
    }

    pub(crate) fn any(&self, is: impl Fn(&FaultKind) -> bool) -> bool {
        self.0.iter().any(|h| is(&h.kind))
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = &FaultKind> {
        self.0.iter().map(|h| &h.kind)
    }
}

/// A fault and how it stands, as the record and the control API show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StandingFault {
    /// Its id, to remove or release it.
    pub id: String,
    /// Its name in the catalogue.
    pub fault: String,
    /// How it misbehaves.
    pub kind: FaultKind,
    /// Where.
    pub endpoint: Endpoint,
    /// Only for this issuer.
    pub issuer: Option<String>,
    /// Only for this client.
    pub client: Option<String>,
    /// Only for this grant.
    pub grant: Option<String>,
    /// How many requests it has hit.
    pub hits: u32,
    /// How many more it will hit; absent if there is no end.
    pub left: Option<u32>,
    /// Seconds of true time until it is gone.
    pub expires_in: Option<f64>,
    /// How many answers wait, if it is a barrier.
    pub waiting: Option<u32>,
    /// What whoever sets it should know; only in the answer to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

#[derive(Debug)]
struct Standing {
    id: String,
    fault: Fault,
    /// Requests that it is about.
    met: u32,
    hits: u32,
    set_at: Instant,
    /// The issuer's clock when it was set.
    set_clock: f64,
    begun: bool,
    ended: bool,
    barrier: Option<Arc<Barrier>>,
}

/// The faults of a process.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    standing: Mutex<(VecDeque<Standing>, u64)>,
    /// Told when connections may have to be treated differently.
    pub(crate) changed: Notify,
}

impl Faults {
    fn lock(&self) -> MutexGuard<'_, (VecDeque<Standing>, u64)> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These instead of those that stand.
    pub(crate) fn replace(&self, faults: Vec<Fault>, clock: f64) {
        self.clear();
        for fault in faults {
            self.add(fault, clock);
        }
    }

    /// One more. `clock` is the time of the issuer that it is about.
    pub(crate) fn add(&self, fault: Fault, clock: f64) -> String {
        let mut standing = self.lock();
        standing.1 += 1;
        let id = format!("f{}", standing.1);
        let barrier = match &fault.kind {
            FaultKind::Barrier { parties } => Some(Arc::new(Barrier::new(*parties))),
            _ => None,
        };
        let (begun, ended) = (fault.scope.after_event.is_none(), false);
        while standing.0.len() >= MOST {
            standing.0.pop_front();
        }
        standing.0.push_back(Standing {
            id: id.clone(),
            fault,
            met: 0,
            hits: 0,
            set_at: Instant::now(),
            set_clock: clock,
            begun,
            ended,
            barrier,
        });
        drop(standing);
        self.changed.notify_one();
        id
    }

    /// Removes one; who waits at it goes on.
    pub(crate) fn remove(&self, id: &str) -> bool {
        let removed: Vec<Standing> = self.take_out(|s| s.id == id);
        !removed.is_empty()
    }

    /// Removes all.
    pub(crate) fn clear(&self) {
        self.take_out(|_| true);
    }

    /// Removes those of one issuer.
    pub(crate) fn clear_issuer(&self, root: &str) {
        self.take_out(|s| s.fault.scope.issuer.as_deref() == Some(root));
    }

    fn take_out(&self, which: impl Fn(&Standing) -> bool) -> Vec<Standing> {
        let mut standing = self.lock();
        let (out, stay): (Vec<_>, Vec<_>) = standing.0.drain(..).partition(which);
        standing.0 = stay.into();
        drop(standing);
        out.iter().filter_map(|s| s.barrier.as_ref()).for_each(|b| {
            b.open();
        });
        self.changed.notify_one();
        out
    }

    /// Lets all go that wait at a barrier.
    pub(crate) fn release(&self, id: &str) -> Option<u32> {
        let barrier = self.lock().0.iter().find(|s| s.id == id)?.barrier.clone()?;
        Some(barrier.open())
    }

    /// Those that stand, and those that are spent but not yet gone.
    pub(crate) fn list(&self) -> Vec<StandingFault> {
        self.forget_dead();
        self.lock().0.iter().map(Standing::shown).collect()
    }

    fn forget_dead(&self) {
        if self.lock().0.iter().any(Standing::is_dead) {
            self.take_out(Standing::is_dead);
        }
    }

    /// The faults that hit this request; each that is about it counts it.
    pub(crate) fn hit(&self, moment: &Moment<'_>) -> Hits {
        let mut standing = self.lock();
        let mut hits = Vec::new();
        for s in standing.0.iter_mut().filter(|s| !s.is_dead()) {
            if !s.fault.kind.is_about_connection() && s.is_about(moment) {
                hits.extend(s.meet(moment.now));
            }
            s.notice(moment);
        }
        Hits(hits)
    }

    /// What is done to the next connection of a listener.
    pub(crate) fn connection(&self, listener: Endpoint) -> Option<ConnectionFault> {
        let mut standing = self.lock();
        standing.0.iter_mut().filter(|s| !s.is_dead() && s.is_at(listener)).find_map(|s| {
            let fault = match s.fault.kind {
                FaultKind::Reset => ConnectionFault::Reset,
                FaultKind::Silent => ConnectionFault::Silent,
                FaultKind::Tls(tls) => ConnectionFault::Tls(tls),
                _ => return None,
            };
            s.meet(s.set_clock).map(|_| fault)
        })
    }

    /// Whether a listener takes connections at all; one for everything does what any fault of a connection asks.
    pub(crate) fn gate(&self, listener: Endpoint) -> Gate {
        let standing = self.lock();
        let gate = |s: &Standing| match s.fault.kind {
            FaultKind::Refused => Some(Gate::Refused),
            FaultKind::Stall(Stall::SynBlackhole) => Some(Gate::Blackhole),
            _ => None,
        };
        standing.0.iter().filter(|s| !s.is_dead() && s.is_at(listener)).find_map(gate).unwrap_or(Gate::Open)
    }

    /// When the next fault is gone.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.lock().0.iter().filter(|s| !s.is_dead()).filter_map(Standing::dies).min()
    }
}

impl Standing {
    fn dies(&self) -> Option<Instant> {
        self.set_at.checked_add(self.fault.scope.lifetime?)
    }

    fn is_dead(&self) -> bool {
        self.dies().is_some_and(|end| end <= Instant::now())
    }

    fn is_at(&self, listener: Endpoint) -> bool {
        let endpoint = self.fault.endpoint;
        listener == Endpoint::Any || endpoint == Endpoint::Any || endpoint == listener
    }

    fn is_about(&self, moment: &Moment<'_>) -> bool {
        let scope = &self.fault.scope;
        let named =
            |wanted: &Option<String>, is: Option<&str>| wanted.as_deref().is_none_or(|w| is == Some(w));
        let elapsed = moment.now - self.set_clock;
        let started = scope.starts_in.is_none_or(|d| elapsed >= d.as_secs_f64());
        let from = scope.starts_in.unwrap_or_default().as_secs_f64();
        let over = scope.lasts.is_some_and(|d| elapsed >= from + d.as_secs_f64());
        (self.fault.endpoint == Endpoint::Any || self.fault.endpoint == moment.endpoint)
            && named(&scope.issuer, Some(moment.issuer))
            && named(&scope.client, moment.client)
            && named(&scope.grant, moment.grant)
            && started
            && !over
            && self.begun
            && !self.ended
    }

    /// Counts a request that this is about, and hits it if it is its turn.
    fn meet(&mut self, _now: f64) -> Option<Hit> {
        let nth = self.met;
        self.met += 1;
        let scope = &self.fault.scope;
        let turn = nth >= self.fault.after
            && scope.every.is_none_or(|every| (nth - self.fault.after + 1).is_multiple_of(every))
            && self.fault.times.is_none_or(|times| self.hits < times);
        let random = mixed(scope.seed ^ (u64::from(nth) << 32));
        let lucky =
            scope.probability.is_none_or(|p| (random >> 11) as f64 / (1u64 << 53) as f64 <= p && p > 0.0);
        if !turn || !lucky {
            return None;
        }
        self.hits += 1;
        let at_most = scope.lifetime.map_or(BARRIER, |l| l.saturating_sub(self.set_at.elapsed()));
        Some(Hit {
            id: self.id.clone(),
            kind: self.fault.kind.clone(),
            random,
            barrier: self.barrier.clone().map(|b| (b, at_most)),
        })
    }

    /// Turned on or off by what happens.
    fn notice(&mut self, moment: &Moment<'_>) {
        let is = |event: &Option<Event>| {
            event.as_ref().is_some_and(|e| {
                (e.endpoint == moment.endpoint || e.endpoint == Endpoint::Any)
                    && e.grant.as_deref().is_none_or(|g| moment.grant == Some(g))
                    && self.fault.scope.issuer.as_deref().is_none_or(|i| i == moment.issuer)
            })
        };
        let (begins, ends) = (is(&self.fault.scope.after_event), is(&self.fault.scope.before_event));
        self.begun |= begins;
        self.ended |= ends;
    }

    fn shown(&self) -> StandingFault {
        let scope = &self.fault.scope;
        StandingFault {
            id: self.id.clone(),
            fault: catalogue::name_of(&self.fault.kind),
            kind: self.fault.kind.clone(),
            endpoint: self.fault.endpoint,
            issuer: scope.issuer.clone(),
            client: scope.client.clone(),
            grant: scope.grant.clone(),
            hits: self.hits,
            left: self.fault.times.map(|t| t.saturating_sub(self.hits)),
            expires_in: self.dies().map(|d| d.saturating_duration_since(Instant::now()).as_secs_f64()),
            waiting: self.barrier.as_ref().map(|b| b.waiting()),
            warning: None,
        }
    }
}

/// SplitMix64: the same number for the same seed, on every machine.
fn mixed(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Scope;

    fn at(endpoint: Endpoint, now: f64) -> Moment<'static> {
        Moment { endpoint, issuer: "", client: Some("c"), grant: Some("client_credentials"), now }
    }

    fn fault(after: u32, times: Option<u32>, scope: Scope) -> Fault {
        Fault { endpoint: Endpoint::Token, kind: FaultKind::Echo { status: 400 }, after, times, scope }
    }

    fn check(fault: Fault, expected: [bool; 6]) {
        let faults = Faults::default();
        faults.add(fault, 0.0);
        let hits: Vec<bool> =
            (0..6).map(|n| !faults.hit(&at(Endpoint::Token, f64::from(n))).0.is_empty()).collect();
        assert_eq!(hits, expected);
        assert!(faults.hit(&at(Endpoint::Discovery, 0.0)).0.is_empty());
    }

    #[test]
    fn a_fault_hits_after_and_for_so_many_requests() {
        check(fault(1, Some(2), Scope::default()), [false, true, true, false, false, false]);
        check(fault(0, None, Scope::default()), [true; 6]);
    }

    #[test]
    fn a_fault_hits_each_nth_and_within_its_window_only() {
        let every = Scope { every: Some(2), ..Scope::default() };
        check(fault(0, None, every), [false, true, false, true, false, true]);
        let window = Scope {
            starts_in: Some(Duration::from_secs(1)),
            lasts: Some(Duration::from_secs(3)),
            ..Scope::default()
        };
        check(fault(0, None, window), [false, true, true, true, false, false]);
    }

    #[test]
    fn a_probability_with_a_seed_repeats() {
        let scope = Scope { probability: Some(0.5), seed: 7, ..Scope::default() };
        let run = || {
            let faults = Faults::default();
            faults.add(fault(0, None, scope.clone()), 0.0);
            (0..64).map(|_| !faults.hit(&at(Endpoint::Token, 0.0)).0.is_empty()).collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let hits = first.iter().filter(|h| **h).count();
        assert!((16..48).contains(&hits), "{hits}");
    }

    #[test]
    fn events_turn_a_fault_on_and_off() {
        let event = |endpoint| Some(Event { endpoint, grant: None });
        let faults = Faults::default();
        let scope = Scope {
            after_event: event(Endpoint::Jwks),
            before_event: event(Endpoint::Userinfo),
            ..Scope::default()
        };
        faults.add(fault(0, None, scope), 0.0);
        let hit = |endpoint| !faults.hit(&at(endpoint, 0.0)).0.is_empty();
        assert!(!hit(Endpoint::Token));
        hit(Endpoint::Jwks);
        assert!(hit(Endpoint::Token));
        hit(Endpoint::Userinfo);
        assert!(!hit(Endpoint::Token));
    }

    #[test]
    fn a_fault_of_the_connection_closes_only_its_own_gate() {
        let faults = Faults::default();
        faults.add(Fault::always(Endpoint::Token, FaultKind::Refused), 0.0);
        assert_eq!(faults.gate(Endpoint::Token), Gate::Refused);
        assert_eq!(faults.gate(Endpoint::Discovery), Gate::Open);
        assert_eq!(faults.gate(Endpoint::Any), Gate::Refused);
    }
}
