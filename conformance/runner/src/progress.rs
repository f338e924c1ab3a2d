//! What runs, what has ended, how long it may still take: on stderr, no spinner when that is no terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use scenario_model::plan::Permutation;
use scenario_model::scenario::Lane;
use scenario_model::verdict::Outcome;

use crate::output::talk;
use crate::run::schedule::Progress;

/// Without a terminal a line comes at most this often.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(200);

/// What is shown of a run while it lasts.
pub struct Shown {
    terminal: bool,
    began: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    all: usize,
    ended: usize,
    bad: usize,
    running: BTreeMap<String, Instant>,
    last: Instant,
    width: usize,
}

impl Shown {
    /// Says what will be run.
    pub fn start(permutations: &[Permutation]) -> Self {
        let applicable: Vec<&Permutation> =
            permutations.iter().filter(|p| p.not_applicable.is_none()).collect();
        let of = |lane| applicable.iter().filter(|p| p.lane() == lane).count();
        talk(&format!(
            "{} permutations: {} instant, {} at moments in time, {} that wait for a hang; {} not applicable",
            permutations.len(),
            of(Lane::Instant),
            of(Lane::Clock),
            of(Lane::Hang),
            permutations.len() - applicable.len()
        ));
        Self {
            terminal: std::io::stderr().is_terminal(),
            began: Instant::now(),
            inner: Mutex::new(Inner {
                all: applicable.len(),
                ended: 0,
                bad: 0,
                running: BTreeMap::new(),
                last: Instant::now(),
                width: 0,
            }),
        }
    }

    /// Says something at once.
    pub fn say(&self, text: &str) {
        talk(text);
    }

    /// Takes note of a permutation.
    pub fn show(&self, progress: Progress) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Begun(id) => {
                inner.running.insert(id, Instant::now());
            }
            Progress::Again(_) => inner.ended = inner.ended.saturating_sub(1),
            Progress::Ended(id, outcomes) => {
                inner.running.remove(&id);
                inner.ended += 1;
                let bad = |o: &Outcome| matches!(o, Outcome::Fail | Outcome::NotTestable | Outcome::Error);
                inner.bad += usize::from(outcomes.iter().any(|(_, o)| bad(o)));
            }
        }
        let pause = if self.terminal { OFTEN } else { SELDOM };
        if inner.last.elapsed() >= pause {
            inner.last = Instant::now();
            self.line(&mut inner);
        }
    }

    fn line(&self, inner: &mut Inner) {
        let oldest = inner.running.iter().min_by_key(|(_, since)| **since);
        let waiting = oldest.map_or(String::new(), |(id, since)| {
            format!("; longest: {id} ({} s)", since.elapsed().as_secs())
        });
        let text = format!(
            "{:>3} s  {} of {} done, {} with failures, {} running{waiting}",
            self.began.elapsed().as_secs(),
            inner.ended,
            inner.all,
            inner.bad,
            inner.running.len()
        );
        if self.terminal {
            let blank = " ".repeat(inner.width.saturating_sub(text.chars().count()));
            eprint_line(&format!("\r{text}{blank}"));
            inner.width = text.chars().count();
        } else {
            talk(&text);
        }
    }

    /// Leaves the terminal clean.
    pub fn finish(&self) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if self.terminal && inner.width > 0 {
            eprint_line(&format!("\r{}\r", " ".repeat(inner.width)));
        }
        talk(&format!("{} permutations in {:.1} s", inner.ended, self.began.elapsed().as_secs_f64()));
    }
}

fn eprint_line(text: &str) {
    use std::io::Write as _;
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}
