//! The parts of a split run put together again.

use std::collections::BTreeMap;

use crate::bundle::{Bundle, Calibration, Footer, Header};

/// Why bundles are not the parts of one run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// Not made with `--shard`.
    #[error(
        "{file}: is no part of a split run; parts are made by `flightcheck run --shard I/N --bundle FILE`"
    )]
    NoPart {
        /// The file's name.
        file: String,
    },
    /// Two runs, not one.
    #[error("{file}: has another {what} than {first}")]
    Different {
        /// The first file's name.
        first: String,
        /// The file's name.
        file: String,
        /// What is different.
        what: &'static str,
    },
    /// One part twice.
    #[error("{file}: is part {index}/{count}, like {first}")]
    Twice {
        /// The first file's name.
        first: String,
        /// The file's name.
        file: String,
        /// Which part.
        index: usize,
        /// Of how many.
        count: usize,
    },
    /// A part that is not there.
    #[error("part {index}/{count} is missing")]
    Missing {
        /// Which part.
        index: usize,
        /// Of how many.
        count: usize,
    },
}

/// One bundle, as if the run had not been split. Its seed is that of the first part, its refresh skew spans all of theirs.
///
/// # Errors
/// Why the bundles are not the parts of one run.
pub fn merge(bundles: Vec<(String, Bundle)>) -> Result<Bundle, MergeError> {
    let mut parts: BTreeMap<usize, (String, Bundle)> = BTreeMap::new();
    let mut first: Option<(String, Header)> = None;
    let mut count = 0;
    for (file, bundle) in bundles {
        let Some((index, of)) = bundle.header.shard else { return Err(MergeError::NoPart { file }) };
        match &first {
            None => (first, count) = (Some((file.clone(), bundle.header.clone())), of),
            Some((name, header)) => {
                if let Some(what) = difference(header, &bundle.header) {
                    return Err(MergeError::Different { first: name.clone(), file, what });
                }
            }
        }
        if let Some((earlier, _)) = parts.get(&index) {
            return Err(MergeError::Twice { first: earlier.clone(), file, index, count });
        }
        parts.insert(index, (file, bundle));
    }
    if let Some(index) = (1..=count).find(|index| !parts.contains_key(index)) {
        return Err(MergeError::Missing { index, count });
    }
    let parts: Vec<Bundle> = parts.into_values().map(|(_, bundle)| bundle).collect();
    // The order of the files decides nothing.
    let header = parts.first().map(|part| part.header.clone());
    Ok(together(header.ok_or(MergeError::Missing { index: 1, count: 1 })?, parts))
}

/// In what two headers differ that the parts of one run share.
fn difference(one: &Header, other: &Header) -> Option<&'static str> {
    let list = |header: &Header| header.known_failures.as_ref().map(|known| known.list.clone());
    let of = |header: &Header| header.shard.map(|(_, count)| count);
    let same = [
        ("tool", one.tool == other.tool),
        ("subject", one.subject == other.subject && one.words == other.words),
        ("requirement set", one.requirements == other.requirements),
        ("selection", one.selection == other.selection),
        ("number of parts", of(one) == of(other)),
        ("`--deny`", one.deny_should == other.deny_should),
        ("known-failures list", list(one) == list(other)),
        ("set of rules", one.rules == other.rules),
    ];
    same.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
}

fn together(mut header: Header, parts: Vec<Bundle>) -> Bundle {
    header.shard = None;
    header.started = parts.iter().map(|p| p.header.started.clone()).min().unwrap_or_default();
    header.calibration = parts.iter().filter_map(|p| p.header.calibration).reduce(spanning);
    // Part I of N has the permutations I, I + N, I + 2 N and so on.
    let longest = parts.iter().map(|p| p.header.planned.len()).max().unwrap_or(0);
    header.planned = (0..longest)
        .flat_map(|nth| parts.iter().filter_map(move |p| p.header.planned.get(nth).cloned()))
        .collect();
    let sources = parts.iter().flat_map(|p| &p.header.sources);
    let sources: BTreeMap<_, _> = sources.map(|source| (source.id.clone(), source.clone())).collect();
    header.sources = sources.into_values().collect();
    // The parts of a split run are run beside each other.
    let took_us = parts.iter().filter_map(|p| Some(p.footer.as_ref()?.took_us)).max().unwrap_or(0);
    let complete = parts.iter().all(Bundle::is_whole);
    let mut ran: BTreeMap<String, _> =
        parts.into_iter().flat_map(|p| p.ran).map(|(ran, events)| (ran.id.clone(), (ran, events))).collect();
    let ran: Vec<_> = header.planned.iter().filter_map(|planned| ran.remove(&planned.id)).collect();
    let footer = Footer {
        complete,
        permutations: ran.len() as u64,
        events: ran.iter().map(|(_, events)| events.len() as u64).sum(),
        took_us,
    };
    Bundle { header, ran, footer: Some(footer) }
}

fn spanning(one: Calibration, other: Calibration) -> Calibration {
    Calibration {
        lower: one.lower.min(other.lower),
        upper: one.upper.max(other.upper),
        monotonic: one.monotonic && other.monotonic,
    }
}
