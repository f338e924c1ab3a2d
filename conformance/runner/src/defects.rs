//! `defects`: what each defect of the reference client and server does, and which checks fail it, as a page in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flightsql_server::Defect as ServerDefect;
use reference_client::{Defect, Variant};
use scenario_model::verdict::Outcome;

use crate::operator::OperatorError;
use crate::output;
use crate::run::world::Mutation;
use crate::selftest::{self, Matrix};
use crate::server_defects;

/// Prints the page.
///
/// # Errors
/// A matrix that cannot be read.
pub fn defects() -> Result<(), OperatorError> {
    output::data(&page(&selftest::checked_in()?));
    Ok(())
}

/// The whole page.
pub fn page(matrix: &Matrix) -> String {
    let mut out = format!(
        "# What fails what\n\nWritten by `flightcheck defects` from `fixtures/selftest/matrix.json`; do not edit. `flightcheck selftest` finds out \
         whether it is still so.\n\nThe correct client, the correct server and the {} benign variants pass every check: {}.\n",
        Variant::ALL.len(),
        Variant::ALL.iter().map(|v| format!("`{v}` ({})", v.describe())).collect::<Vec<_>>().join("; "),
    );
    out.push_str(
        "\n## Defects of the client\n\n| defect | what it does | checks that fail or warn |\n|---|---|---|\n",
    );
    for defect in Defect::ALL {
        line(&mut out, matrix, defect.name(), defect.name(), defect.describe());
    }
    out.push_str(
        "\n## Defects of the server\n\n| defect | what it does | checks that fail or warn |\n|---|---|---|\n",
    );
    for defect in ServerDefect::ALL {
        line(&mut out, matrix, &server_defects::name(Some(*defect)), defect.name(), defect.describe());
    }
    out.push_str(
        "\n## Worlds that are wrong\n\nThe correct client in a world that is not as the scenario says. No scenario that is about what is wrong there may \
         pass: a check that does would believe anything.\n\n| world | what is wrong | checks that fail or warn |\n|---|---|---|\n",
    );
    for mutation in Mutation::ALL {
        line(&mut out, matrix, &selftest::world_name(mutation), mutation.name(), mutation.describe());
    }
    out
}

fn line(out: &mut String, matrix: &Matrix, row: &str, name: &str, what: &str) {
    let nothing = BTreeMap::new();
    let checks = matrix.0.get(row).unwrap_or(&nothing);
    let of = |wanted: &[Outcome]| {
        let found = checks.iter().filter(|(_, o)| o.keys().any(|o| wanted.contains(o)));
        found.map(|(check, _)| format!("`{check}`")).collect::<Vec<_>>()
    };
    let broken = of(&[Outcome::Fail, Outcome::Warn, Outcome::Info]);
    let without = of(&[Outcome::NotTestable]).len();
    let mut cell = broken.join("<br>");
    if without > 0 {
        let also = if cell.is_empty() { "" } else { "<br>" };
        let _ = write!(cell, "{also}not testable, and so no pass: {without} checks");
    }
    let _ = writeln!(out, "| `{name}` | {what} | {cell} |");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_one_that_the_command_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/defects.md");
        let text = std::fs::read_to_string(path).expect("the page is there");
        let page = page(&selftest::checked_in().expect("it can be read"));
        assert!(text == page, "write it anew: `cargo run -- defects > conformance/docs/defects.md`");
    }
}
