//! A saved run: header, events of each permutation, footer, as JSON lines. Anyone can judge it again.

use std::collections::BTreeMap;
use std::io::BufRead;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Source;
use crate::event::Event;
use crate::known_failures::KnownFailures;
use crate::scenario::Surface;

/// Version of the format.
pub const FORMAT: u32 = 1;

/// One line of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "a line lives as long as it takes to write or read it")]
pub enum Line {
    /// The first.
    Header(Box<Header>),
    /// A permutation came to its end; its events follow.
    Permutation(Ran),
    /// An event of the permutation before it.
    Event(Event),
    /// The last.
    Footer(Footer),
}

/// What was run and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// Name and version of the program that recorded it.
    pub tool: String,
    /// When it was started, RFC 3339.
    pub started: String,
    /// What was under test.
    pub subject: SubjectInfo,
    /// What the user typed for it, for commands that repeat something.
    #[serde(default)]
    pub typed: String,
    /// What the subject calls things in its messages.
    pub words: BTreeMap<String, Vec<String>>,
    /// What is known about the subject's refresh skew.
    pub calibration: Option<Calibration>,
    /// The requirement set.
    pub requirements: SetInfo,
    /// Seed of every random choice.
    pub seed: u64,
    /// What was selected, in words.
    pub selection: String,
    /// Part `0` (from 1) of `1`, if this is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<(usize, usize)>,
    /// Warnings count as failures.
    pub deny_should: bool,
    /// The known-failures list and its file's name.
    pub known_failures: Option<KnownFile>,
    /// What was planned, in order.
    pub planned: Vec<Planned>,
    /// Texts of the scenarios that were planned.
    pub sources: Vec<Source>,
    /// Text of the rules for every scenario.
    pub rules: Source,
}

/// The client under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectInfo {
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub vendor: Option<String>,
    /// Its version, as it says itself or as the manifest does.
    pub version: Option<String>,
}

/// A requirement set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetInfo {
    /// Its name.
    pub set: String,
    /// SHA-256 of its sentences.
    pub hash: String,
}

/// The refresh skew of a subject: how long before its expiry a token is not used any more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibration {
    /// At least so many seconds.
    pub lower: f64,
    /// At most so many seconds.
    pub upper: f64,
    /// A longer life never made the subject ask again when a shorter one did not.
    pub monotonic: bool,
}

/// A known-failures list and its file's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownFile {
    /// The file's name.
    pub file: String,
    /// Its entries.
    pub list: KnownFailures,
    /// For each entry, whether it lists some check of the whole catalogue.
    pub matches_catalogue: Vec<bool>,
}

/// One planned permutation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// Its name.
    pub id: String,
    /// `family/name`.
    pub scenario: String,
    /// Values of the matrix.
    pub values: Vec<(String, Value)>,
    /// Where `query` steps run.
    pub surface: Surface,
    /// Why it does not apply to the subject.
    pub not_applicable: Option<String>,
}

/// How a permutation's run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ran {
    /// The permutation.
    pub id: String,
    /// Our own failure, if there was one.
    pub error: Option<String>,
    /// It was cut short.
    pub interrupted: bool,
    /// How often it was run before, because the machine stalled.
    pub repeated: u32,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How many events follow.
    pub events: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Every planned permutation came to its end.
    pub complete: bool,
    /// How many permutations have lines.
    pub permutations: u64,
    /// How many events there are in all.
    pub events: u64,
    /// How long all permutations took together, in microseconds; zero if that is not known.
    #[serde(default)]
    pub took_us: u64,
}

/// A bundle in memory.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The first line.
    pub header: Header,
    /// Permutations in the order in which they ended.
    pub ran: Vec<(Ran, Vec<Event>)>,
    /// The last line, if the recording got that far.
    pub footer: Option<Footer>,
}

/// Why a file is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A line could not be read.
    #[error("{file}:{line}: not a line of a bundle: {problem}")]
    Line {
        /// The file's name.
        file: String,
        /// From 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// It does not start with a header.
    #[error(
        "{file}: does not start with a header line; a bundle is what `flightcheck run --bundle FILE` writes"
    )]
    NoHeader {
        /// The file's name.
        file: String,
    },
    /// It was written by another version.
    #[error("{file}: has format {found}, this version reads format {FORMAT}")]
    Format {
        /// The file's name.
        file: String,
        /// The format that it says it has.
        found: u32,
    },
    /// A scenario in it cannot be read by this version.
    #[error("{0}")]
    Scenario(crate::diagnostic::FileErrors),
    /// It names a permutation that its own scenarios do not have.
    #[error("{file}: permutation `{id}` is not in the scenarios of the bundle")]
    UnknownPermutation {
        /// The file's name.
        file: String,
        /// The permutation.
        id: String,
    },
}

impl Bundle {
    /// Reads a bundle line by line. A last line that was cut in the middle is left out: the footer is then missing too.
    ///
    /// # Errors
    /// The first line that is none.
    pub fn read(file: &str, reader: impl BufRead) -> Result<Self, BundleError> {
        let mut header = None;
        let mut ran: Vec<(Ran, Vec<Event>)> = Vec::new();
        let mut footer = None;
        let mut lines = reader.lines().enumerate().peekable();
        while let Some((nth, text)) = lines.next() {
            let bad = |problem: String| BundleError::Line { file: file.to_owned(), line: nth + 1, problem };
            let text = text.map_err(|e| bad(e.to_string()))?;
            let line = match serde_json::from_str::<Line>(&text) {
                Ok(line) => line,
                Err(_) if header.is_none() => return Err(BundleError::NoHeader { file: file.to_owned() }),
                Err(e) if e.is_eof() && lines.peek().is_none() => break,
                Err(e) => return Err(bad(e.to_string())),
            };
            match line {
                Line::Header(first) if header.is_none() => {
                    if first.format != FORMAT {
                        return Err(BundleError::Format { file: file.to_owned(), found: first.format });
                    }
                    header = Some(*first);
                }
                Line::Header(_) => return Err(bad("a second header".to_owned())),
                Line::Permutation(one) => ran.push((one, Vec::new())),
                Line::Event(event) => match ran.last_mut() {
                    Some((_, events)) => events.push(event),
                    None => return Err(bad("an event before any permutation".to_owned())),
                },
                Line::Footer(last) => footer = Some(last),
            }
        }
        let header = header.ok_or_else(|| BundleError::NoHeader { file: file.to_owned() })?;
        Ok(Self { header, ran, footer })
    }

    /// The run came to its end, and its record has as many lines as that says.
    pub fn is_whole(&self) -> bool {
        self.footer.as_ref().is_some_and(|footer| {
            footer.complete
                && footer.permutations == self.ran.len() as u64
                && footer.events == self.ran.iter().map(|(_, events)| events.len() as u64).sum::<u64>()
        })
    }

    /// The events of a permutation.
    pub fn events(&self, id: &str) -> Option<&(Ran, Vec<Event>)> {
        self.ran.iter().find(|(ran, _)| ran.id == id)
    }
}
