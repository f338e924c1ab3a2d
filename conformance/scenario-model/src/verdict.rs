//! The one answer of a permutation's check, and what the answers together mean for the exit code.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::Level;

/// The answer of one check: never folded together, their sum is what was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The subject did not declare what the scenario needs.
    NotApplicable,
    /// Positive evidence that the rule holds.
    Pass,
    /// A MAY that does not hold.
    Info,
    /// A listed failure, which still fails.
    KnownFailure,
    /// A SHOULD that does not hold.
    Warn,
    /// It was planned and not reached.
    NotRun,
    /// The machine stalled in a window that the rule depends on.
    Inconclusive,
    /// Listed as a failure, and it passes.
    UnexpectedPass,
    /// There is no evidence that the subject got far enough. Counts as a failure.
    NotTestable,
    /// The rule does not hold.
    Fail,
    /// Our own doing: the world did not start, for instance.
    Error,
}

impl Outcome {
    /// Every outcome, from the best to the worst.
    pub const ALL: [Self; 11] = [
        Self::NotApplicable,
        Self::Pass,
        Self::Info,
        Self::KnownFailure,
        Self::Warn,
        Self::NotRun,
        Self::Inconclusive,
        Self::UnexpectedPass,
        Self::NotTestable,
        Self::Fail,
        Self::Error,
    ];

    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotApplicable => "not-applicable",
            Self::Pass => "pass",
            Self::Info => "info",
            Self::KnownFailure => "known-failure",
            Self::Warn => "warn",
            Self::NotRun => "not-run",
            Self::Inconclusive => "inconclusive",
            Self::UnexpectedPass => "unexpected-pass",
            Self::NotTestable => "not-testable",
            Self::Fail => "fail",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One way in which a trace breaks a rule, or does not show enough to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What the clause says, in words.
    pub expected: String,
    /// What the trace shows, in words.
    pub observed: String,
    /// The moment, in microseconds since the world was up.
    pub at_us: Option<u64>,
    /// Number of the clause in its check: those of `requires` first.
    pub clause: usize,
    /// Numbers of the events that show it.
    pub events: Vec<u64>,
}

/// The answer of a check with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckVerdict {
    /// `<scenario>#<check>`.
    pub check: String,
    /// The level for this permutation.
    pub level: Level,
    /// The rule, as a sentence.
    pub claim: String,
    /// Requirements that it tests.
    pub covers: Vec<String>,
    /// The answer.
    pub outcome: Outcome,
    /// What the answer was before the known-failures list was looked at.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before_list: Option<Outcome>,
    /// Why.
    pub findings: Vec<Finding>,
}

/// How many checks had which outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts(pub BTreeMap<Outcome, u64>);

impl Counts {
    /// Of these outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        let mut counts = BTreeMap::new();
        for outcome in outcomes {
            *counts.entry(outcome).or_insert(0) += 1;
        }
        Self(counts)
    }

    /// How many had this one.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }

    /// How many there are in all.
    pub fn planned(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The process's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExitCode {
    /// 0: every check that counts has positive evidence.
    Conformant,
    /// 1: a check failed or could not be tested.
    NotConformant,
    /// 2: the command line, a file or the subject's manifest is wrong.
    Usage,
    /// 3: our own error, an interrupted run, or a machine too slow to tell.
    Ours,
    /// 4: the known-failures list does not fit any more.
    StaleList,
}

impl ExitCode {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Conformant => 0,
            Self::NotConformant => 1,
            Self::Usage => 2,
            Self::Ours => 3,
            Self::StaleList => 4,
        }
    }
}

/// What turns outcomes into an exit code, beside the outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitRules {
    /// `--deny should`: a warning counts as a failure.
    pub deny_should: bool,
    /// Entries of the known-failures list that match no check, or whose time is over.
    pub stale_entries: usize,
    /// The run was cut short.
    pub partial: bool,
}

/// The exit code: our own error first (nothing can be believed), then the subject's, then doubt, then the list.
pub fn exit_code(counts: &Counts, rules: ExitRules) -> ExitCode {
    let has = |outcome| counts.get(outcome) > 0;
    let failed = has(Outcome::Fail) || has(Outcome::NotTestable) || (rules.deny_should && has(Outcome::Warn));
    let applicable = counts.planned() - counts.get(Outcome::NotApplicable);
    if has(Outcome::Error) {
        ExitCode::Ours
    } else if failed {
        ExitCode::NotConformant
    } else if has(Outcome::Inconclusive) || has(Outcome::NotRun) || rules.partial || applicable == 0 {
        ExitCode::Ours
    } else if has(Outcome::UnexpectedPass) || rules.stale_entries > 0 {
        ExitCode::StaleList
    } else {
        ExitCode::Conformant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outcomes: &[Outcome], rules: ExitRules, expected: u8) {
        let counts = Counts::of(outcomes.iter().copied());
        assert_eq!(exit_code(&counts, rules).code(), expected, "{outcomes:?} {rules:?}");
    }

    #[test]
    fn the_exit_code_follows_the_worst_that_counts() {
        use Outcome::*;
        let none = ExitRules::default();
        check(&[Pass, Warn, Info, KnownFailure, NotApplicable], none, 0);
        check(&[Pass, Warn], ExitRules { deny_should: true, ..none }, 1);
        check(&[Pass, Fail], none, 1);
        check(&[Pass, NotTestable], none, 1);
        check(&[Pass, UnexpectedPass, Fail], none, 1);
        check(&[Pass, UnexpectedPass], none, 4);
        check(&[Pass], ExitRules { stale_entries: 1, ..none }, 4);
        check(&[Pass, Inconclusive], none, 3);
        check(&[Pass, Inconclusive, Fail], none, 1);
        check(&[Pass, NotRun], none, 3);
        check(&[Pass], ExitRules { partial: true, ..none }, 3);
        check(&[Fail, Error], none, 3);
        check(&[], none, 3);
        check(&[NotApplicable, NotApplicable], none, 3);
        check(&[NotApplicable, NotRun], none, 3);
    }

    #[test]
    fn outcomes_are_ordered_and_complete() {
        assert!(Outcome::ALL.windows(2).all(|w| w[0] < w[1]));
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).expect("a word"), outcome.as_str());
            // In the columns of a table.
            assert_eq!(format!("{outcome:<16}|"), format!("{:<16}|", outcome.as_str()));
        }
    }
}
