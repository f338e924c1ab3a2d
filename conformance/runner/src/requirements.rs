//! `requirements`: the set as a table in Markdown, with what tests each sentence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use scenario_model::catalogue::Catalogue;
use scenario_model::scenario::Level;

use crate::embedded;
use crate::operator::OperatorError;
use crate::output;

/// Prints the table.
///
/// # Errors
/// A catalogue that cannot be read.
pub fn requirements() -> Result<(), OperatorError> {
    output::data(&table(&embedded::catalogue(None)?));
    Ok(())
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
        let level = match r.keyword {
            Level::Must => "MUST",
            Level::Should => "SHOULD",
            Level::May => "MAY",
        };
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
