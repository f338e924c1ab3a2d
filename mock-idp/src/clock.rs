//! The clock of an issuer: it can be moved and stopped, and everything with a time in it follows.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Moves issuing, validation, codes, polling and the windows of faults, all together.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Setting>);

#[derive(Debug, Clone, Copy, Default)]
struct Setting {
    offset: f64,
    frozen_at: Option<f64>,
}

/// What to do to a clock. Members that are absent leave things as they are.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClockChange {
    /// Stops it at this time (seconds since 1970).
    pub freeze_at: Option<f64>,
    /// Stops it where it is (`true`), or lets it run on from there (`false`).
    pub frozen: Option<bool>,
    /// Seconds that it is ahead of the true time (negative: behind).
    pub offset: Option<f64>,
    /// Seconds to move it on, from where it is.
    pub advance: Option<f64>,
}

/// How a clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct ClockReading {
    /// Seconds since 1970, as the issuer sees it.
    pub now: f64,
    /// Seconds that it is ahead of the true time.
    pub offset: f64,
    /// It stands still.
    pub frozen: bool,
}

impl Clock {
    /// Seconds since 1970, as the issuer sees it.
    pub fn now(&self) -> f64 {
        let setting = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        setting.frozen_at.unwrap_or_else(|| true_time() + setting.offset)
    }

    /// Whole seconds since 1970.
    pub fn seconds(&self) -> u64 {
        self.now().max(0.0) as u64
    }

    /// How it stands.
    pub fn reading(&self) -> ClockReading {
        let now = self.now();
        let setting = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = if setting.frozen_at.is_some() { now - true_time() } else { setting.offset };
        ClockReading { now, offset, frozen: setting.frozen_at.is_some() }
    }

    /// Moves it. Numbers that are not finite are taken as 0.
    pub fn change(&self, change: ClockChange) -> ClockReading {
        let finite = |seconds: f64| if seconds.is_finite() { seconds } else { 0.0 };
        {
            let mut setting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = |s: &Setting| s.frozen_at.unwrap_or_else(|| true_time() + s.offset);
            if let Some(offset) = change.offset {
                setting.offset = finite(offset);
                if setting.frozen_at.is_some() {
                    setting.frozen_at = Some(true_time() + setting.offset);
                }
            }
            if let Some(at) = change.freeze_at {
                setting.frozen_at = Some(finite(at));
            }
            match change.frozen {
                Some(true) if setting.frozen_at.is_none() => setting.frozen_at = Some(now(&setting)),
                Some(false) => {
                    if let Some(at) = setting.frozen_at.take() {
                        setting.offset = at - true_time();
                    }
                }
                Some(true) | None => {}
            }
            if let Some(step) = change.advance.map(finite) {
                match &mut setting.frozen_at {
                    Some(at) => *at += step,
                    None => setting.offset += step,
                }
            }
        }
        self.reading()
    }

    /// Lets it show the true time again.
    pub fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Setting::default();
    }
}

fn true_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).as_ref().map_or(0.0, Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let clock = Clock::default();
        clock.change(ClockChange { freeze_at: Some(1000.0), ..ClockChange::default() });
        assert_eq!(clock.now(), 1000.0);
        clock.change(ClockChange { advance: Some(60.5), ..ClockChange::default() });
        assert_eq!(clock.now(), 1060.5);
        let running = clock.change(ClockChange { frozen: Some(false), ..ClockChange::default() });
        assert!(!running.frozen && running.now >= 1060.5 && running.now < 1100.0);
        clock.reset();
        assert_eq!(clock.reading().offset, 0.0);
    }
}
