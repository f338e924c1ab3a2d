//! The clock of an issuer: it can be moved and stopped, and everything with a time in it follows.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The years 1970 to 9999: what every date in an answer can be written in.
const YEARS: RangeInclusive<f64> = 0.0..=253_402_300_799.0;

/// Moves issuing, validation, codes, polling and the windows of faults, all together.
#[derive(Debug, Default)]
pub struct Clock(Mutex<Setting>);

#[derive(Debug, Clone, Copy, Default)]
struct Setting {
    offset: f64,
    frozen_at: Option<f64>,
}

impl Setting {
    fn now(&self) -> f64 {
        self.frozen_at.unwrap_or_else(|| true_time() + self.offset)
    }

    fn changed(mut self, change: ClockChange) -> Self {
        if let Some(offset) = change.offset {
            self.offset = offset;
            if self.frozen_at.is_some() {
                self.frozen_at = Some(true_time() + offset);
            }
        }
        if let Some(at) = change.freeze_at {
            self.frozen_at = Some(at);
        }
        match change.frozen {
            Some(true) => self.frozen_at = Some(self.now()),
            Some(false) => {
                if let Some(at) = self.frozen_at.take() {
                    self.offset = at - true_time();
                }
            }
            None => {}
        }
        if let Some(step) = change.advance {
            match &mut self.frozen_at {
                Some(at) => *at += step,
                None => self.offset += step,
            }
        }
        self
    }

    fn within_years(mut self) -> Self {
        let now = self.now();
        let fine = if now.is_nan() { true_time() } else { now.clamp(*YEARS.start(), *YEARS.end()) };
        if fine.to_bits() != now.to_bits() {
            match &mut self.frozen_at {
                Some(at) => *at = fine,
                None => self.offset = fine - true_time(),
            }
        }
        self
    }
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).now()
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

    /// Moves it; beyond the years 1970 to 9999 it does not go.
    pub fn change(&self, change: ClockChange) -> ClockReading {
        let mut setting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *setting = setting.changed(change).within_years();
        drop(setting);
        self.reading()
    }

    /// Moves it, unless it would leave the years 1970 to 9999: then it stays as it is.
    pub(crate) fn try_change(&self, change: ClockChange) -> Option<ClockReading> {
        let mut setting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = setting.changed(change);
        if !YEARS.contains(&changed.now()) {
            return None;
        }
        *setting = changed;
        drop(setting);
        Some(self.reading())
    }

    /// Lets it show the true time again.
    pub fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Setting::default();
    }
}

/// Seconds since 1970 on the clock of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "an issuer tells the time; this is the one place where it learns it"
)]
pub(crate) fn true_time() -> f64 {
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
