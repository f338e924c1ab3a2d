//! `requirements`: the set as a table in Markdown, with what tests each sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use scenario_model::catalogue::Catalogue;
use scenario_model::report::Report;
use scenario_model::scenario::Level;
use scenario_model::verdict::Outcome;

use crate::cli::RequirementsArgs;
use crate::embedded;
use crate::operator::OperatorError;
use crate::output;

/// Prints the table; with reports, how each subject meets each sentence.
///
/// # Errors
/// A catalogue or a report that cannot be read.
pub fn requirements(args: &RequirementsArgs) -> Result<(), OperatorError> {
    let catalogue = embedded::catalogue(None)?;
    if args.reports.is_empty() {
        output::data(&table(&catalogue));
        return Ok(());
    }
    let reports = args.reports.iter().map(|path| report(path)).collect::<Result<Vec<_>, _>>()?;
    output::data(&met_by(&catalogue, &reports));
    Ok(())
}

fn report(path: &Path) -> Result<Report, OperatorError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| OperatorError::Read { path: path.to_owned(), source })?;
    let problem = |e| format!("{}: is no report of `flightcheck run --json`: {e}", path.display());
    serde_json::from_str(&text).map_err(|e| OperatorError::Selection(problem(e)))
}

/// Sentence by subject: the worst outcome of the checks that cover it, whatever a known-failures list says.
pub fn met_by(catalogue: &Catalogue, reports: &[Report]) -> String {
    let name = |r: &Report| match &r.subject.version {
        Some(version) => format!("{} {version}", r.subject.name),
        None => r.subject.name.clone(),
    };
    let names: Vec<String> = reports.iter().map(name).collect();
    let mut out =
        format!("| id | | sentence | {} |\n|---|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for r in catalogue.requirements.requirement.iter().filter(|r| r.excluded.is_none()) {
        let cells: Vec<&str> = reports.iter().map(|report| how(report, &r.id)).collect();
        if cells.iter().any(|cell| *cell != "-") {
            let (level, text) = (keyword(r.keyword), r.text.replace('|', "\\|"));
            let _ = writeln!(out, "| {} | {level} | {text} | {} |", r.id, cells.join(" | "));
        }
    }
    out
}

fn how(report: &Report, requirement: &str) -> &'static str {
    let checks = report.rows.iter().flat_map(|row| &row.checks);
    let outcomes = checks
        .filter(|check| check.covers.iter().any(|id| id == requirement))
        .map(|check| check.before_list.unwrap_or(check.outcome));
    match outcomes.max() {
        None | Some(Outcome::NotApplicable | Outcome::NotRun) => "-",
        Some(Outcome::Pass) => "yes",
        Some(Outcome::Fail) => "**no**",
        Some(Outcome::NotTestable) => "not shown",
        Some(Outcome::Warn | Outcome::Info) => "not quite",
        Some(Outcome::Inconclusive | Outcome::Error | Outcome::KnownFailure | Outcome::UnexpectedPass) => {
            "open"
        }
    }
}

fn keyword(level: Level) -> &'static str {
    match level {
        Level::Must => "MUST",
        Level::Should => "SHOULD",
        Level::May => "MAY",
    }
}

/// The whole page.
pub fn table(catalogue: &Catalogue) -> String {
    let set = &catalogue.requirements;
    let scenarios = catalogue.scenarios.iter();
    let permutations: usize = scenarios.map(|s| s.combinations.len()).sum();
    let excluded = set.requirement.iter().filter(|r| r.excluded.is_some()).count();
    let mut out = format!(
        "# Requirement set {}\n\nWritten by `flightcheck requirements`; do not edit. {} sentences, {excluded} of them without a test for the reason that \
         stands there; {} scenarios, {permutations} combinations, {} checks. SHA-256 of the sentences: `{}`{}.\n\n\
         MUST not met is a failure, SHOULD a warning, MAY is reported. A source \"this suite\" is our own opinion.\n",
        set.set,
        set.requirement.len(),
        catalogue.scenarios.len(),
        catalogue.checks().len(),
        set.hash(),
        if set.frozen.is_some() { ", frozen" } else { ", open until the set is published" },
    );
    let tested_by = tested_by(catalogue);
    let mut group = "";
    for r in &set.requirement {
        let own = r.id.rsplit_once('-').map_or(r.id.as_str(), |(group, _)| group);
        if own != group {
            group = own;
            let _ = write!(
                out,
                "\n## {group}\n\n| id | | sentence | source | tested by |\n|---|---|---|---|---|\n"
            );
        }
        let tested = match (&r.excluded, tested_by.get(r.id.as_str())) {
            (Some(reason), _) => format!("excluded: {reason}"),
            (None, Some(checks)) => checks.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join("<br>"),
            (None, None) => "**untested**".to_owned(),
        };
        let level = keyword(r.keyword);
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            out,
            "| {} | {level} | {} | {} | {} |",
            r.id,
            cell(&r.text),
            cell(&r.source),
            cell(&tested)
        );
    }
    out
}

/// Requirement to checks.
fn tested_by(catalogue: &Catalogue) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let own = catalogue.scenarios.iter().flat_map(|s| &s.combinations).flat_map(|c| c.checks.iter());
    for check in own.chain(&catalogue.rules) {
        for id in &check.covers {
            found.entry(id).or_default().insert(&check.id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_one_that_the_command_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/requirements.md");
        let page = std::fs::read_to_string(path).expect("the page is there");
        let table = table(&embedded::catalogue(None).expect("the catalogue can be read"));
        assert!(
            page == table,
            "write it anew: `cargo run -- requirements > conformance/docs/requirements.md`"
        );
    }
}
