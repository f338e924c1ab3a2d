//! `selftest`: every defect and variant of the reference client against the whole catalogue.
//!
//! The matrix that is found must be exactly the one that is checked in: which check has which outcome for which defect.
//! A defect that nobody sees, a check that nobody fails, a variant that does not pass: each is an error.

mod differences;
mod matrix;
mod proof;
mod record;
mod sample;
mod who;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use scenario_model::catalogue::Catalogue;
use scenario_model::diagnostic::word_help;
use scenario_model::report::Judge;

use self::differences::{Different, differences, to_run_again, unsteady};
use self::matrix::{left_open, matrix_of};
use self::proof::{believed, failed, unseen, withheld};
use self::record::{Group, Part, groups, record_all, replace};
use self::sample::Sample;
use self::who::Who;
use crate::cli::SelftestArgs;
use crate::embedded;
use crate::necessity::{self, Recording, Unnoticed};
use crate::operator::OperatorError;
use crate::output;

pub use self::matrix::{Matrix, checked_in};
pub use self::who::{known_behaviour, known_server_defect, world_name};

/// More open verdicts than this are no proof any more.
const MOST_UNDECIDED: usize = 25;
/// More cells than this that were as checked in only when they were run again are no proof any more.
const MOST_UNSTEADY: usize = 12;
/// So often what differs is run again, and so many scenarios of behaviours at most: more is no luck.
const LOOKS: usize = 2;
const MOST_AGAIN: usize = 60;
/// So many of them at once: moments want room.
const JOBS_AGAIN: usize = 2;

/// Runs the proof; 0 if everything is as it is checked in.
///
/// # Errors
/// What the operator must put right.
pub async fn selftest(args: &SelftestArgs) -> Result<u8, OperatorError> {
    let began = Instant::now();
    let chosen = chosen(&args.only)?;
    let catalogue = embedded::catalogue(args.selection.scenarios.as_deref())?;
    let (groups, part, selection) = groups(&args.selection, &catalogue, &chosen)?;
    let sample = args.sample.map(|of| Sample::new(of, checked_in().unwrap_or_default()));
    let sample = sample.as_ref();
    let wanted = |who: Who, scenario: &str| sample.is_none_or(|sample| sample.has(who, scenario));
    let mut recordings = record_all(&groups, &catalogue, &wanted, usize::from(args.jobs)).await?;
    let permutations: usize = recordings.iter().map(|r| r.traces.len()).sum();
    let judge = Judge::with(catalogue.scenarios.clone(), catalogue.rules.clone());
    // Before anything is run again: a correct client that fails by luck, or a world that does not start, is a mistake of the
    // suite.
    let mut problems = withheld(&recordings, &judge);
    problems.extend(believed(&recordings, &judge));
    problems.extend(matrix_of(&recordings, &judge).1);
    let seen = Seen { chosen: &chosen, part: &part, sample, judge: &judge };
    let (different, unsteady) = match &args.write_matrix {
        None => looked_at_again(seen, &groups, &catalogue, &mut recordings).await?,
        Some(_) => (Vec::new(), Vec::new()),
    };
    let ran = began.elapsed();

    let judging = Instant::now();
    let (matrix, did_not_run) = matrix_of(&recordings, &judge);
    let new: Vec<String> = did_not_run.into_iter().filter(|line| !problems.contains(line)).collect();
    problems.extend(new);
    let mut loose = None;
    if args.only.is_empty() {
        problems.extend(unseen(&matrix, &catalogue, &part));
        let unnoticed = necessity::unnoticed(&recordings, &judge);
        let dropped = unnoticed.dropped.iter().filter(|clause| part.holds(clause));
        problems.extend(dropped.map(|clause| format!("every verdict stays the same: {clause}")));
        loose = Some(unnoticed);
    }
    let judged = judging.elapsed();

    if let Some(path) = &args.write_matrix {
        problems.extend(left_open(&matrix));
        let whole = part.is_whole() && args.only.is_empty();
        let written = if whole { matrix.clone() } else { checked_in()?.with(&matrix, &chosen, &part) };
        let mut text = serde_json::to_string_pretty(&written).expect("plain data");
        text.push('\n');
        output::write(path, &text)?;
    }
    let (undecided, different): (Vec<_>, Vec<_>) = different.into_iter().partition(|cell| cell.open);
    problems.extend(different.into_iter().map(|cell| cell.text));
    if undecided.len() > MOST_UNDECIDED {
        problems.push(format!("{} verdicts are undecided: the machine has too much to do", undecided.len()));
    }
    if unsteady.len() > MOST_UNSTEADY {
        problems.push(format!("{} verdicts were not the same when they were run again", unsteady.len()));
    }
    let mut out = String::new();
    for cell in &unsteady {
        out.push_str(&format!("unsteady: at first {}\n", cell.text));
    }
    for cell in &undecided {
        out.push_str(&format!("undecided: {}\n", cell.text));
    }
    for problem in &problems {
        out.push_str(&format!("problem: {problem}\n"));
    }
    let failed_by = failed(&matrix);
    out.push_str(&format!(
        "behaviours    {} ({permutations} permutations over real sockets in {:.1} s, judged in {:.1} s)\n",
        chosen.len(),
        ran.as_secs_f64(),
        judged.as_secs_f64()
    ));
    out.push_str(&format!(
        "checks        {}, of which {} were failed by some defect\n",
        catalogue.checks().iter().filter(|check| part.holds(check)).count(),
        failed_by.iter().filter(|check| part.holds(check)).count()
    ));
    if let Some(Unnoticed { loosened, tried, .. }) = loose.filter(|_| part.is_whole()) {
        out.push_str(&format!(
            "loosened      by one word or one bound at a time in {tried} ways; {} change no verdict\n",
            loosened.len()
        ));
        if let Some(path) = &args.loose {
            output::write(path, &loosened.into_iter().map(|line| line + "\n").collect::<String>())?;
        }
    }
    if !part.is_whole() {
        out.push_str(&format!("selection     {selection}: no proof of the whole\n"));
    }
    if let Some(Sample { part, of, .. }) = sample {
        let others = format!("part {} of {of} of what the matrix says they pass", part + 1);
        out.push_str(&format!("sample        defects: everything that they do not pass, and {others}\n"));
    }
    let verdict =
        if problems.is_empty() { "the suite can fail, and does where it must" } else { "not proven" };
    out.push_str(&format!("verdict       {verdict}: {} problems\n", problems.len()));
    output::data(&out);
    Ok(u8::from(!problems.is_empty()))
}

/// The behaviours of these names, or all.
fn chosen(only: &[String]) -> Result<Vec<Who>, OperatorError> {
    let everybody = Who::all();
    let names: Vec<String> = everybody.iter().map(|w| w.name()).collect();
    for name in only {
        if !names.contains(name) {
            let help = word_help(name, names.iter().map(String::as_str));
            return Err(OperatorError::Unknown { what: "defect or variant", name: name.clone(), help });
        }
    }
    Ok(everybody.into_iter().filter(|w| only.is_empty() || only.contains(&w.name())).collect())
}

/// What the matrix is looked at with.
#[derive(Clone, Copy)]
struct Seen<'s> {
    chosen: &'s [Who],
    part: &'s Part,
    sample: Option<&'s Sample>,
    judge: &'s Judge,
}

impl Seen<'_> {
    fn differences(self, recordings: &[Recording]) -> Result<Vec<Different>, OperatorError> {
        let (matrix, _) = matrix_of(recordings, self.judge);
        differences(&matrix, self.chosen, self.part, recordings, self.sample, self.judge)
    }
}

/// What differs from the matrix is run again with the machine to itself, for a defect in a race may win it by luck. Gives the
/// cells that differ each time, and those that did not, as they were at first.
async fn looked_at_again(
    seen: Seen<'_>,
    groups: &[Group],
    catalogue: &Catalogue,
    recordings: &mut [Recording],
) -> Result<(Vec<Different>, Vec<Different>), OperatorError> {
    let first = seen.differences(recordings)?;
    let mut different = first.clone();
    for _ in 0..LOOKS {
        let again = to_run_again(&different);
        let pairs: usize = again.values().map(BTreeSet::len).sum();
        if pairs == 0 || pairs > MOST_AGAIN {
            break;
        }
        output::talk(&format!(
            "{} cells differ from the matrix: their scenarios are run again",
            different.len()
        ));
        let newer = record_all(groups, catalogue, &|who, id| is_among(&again, who, id), JOBS_AGAIN).await?;
        replace(recordings, newer);
        different = seen.differences(recordings)?;
    }
    let unsteady = unsteady(first, &different);
    Ok((different, unsteady))
}

fn is_among(again: &BTreeMap<String, BTreeSet<String>>, who: Who, scenario: &str) -> bool {
    again.get(&who.name()).is_some_and(|scenarios| scenarios.contains(scenario))
}
