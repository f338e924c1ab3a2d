//! `judge`: a saved run judged again.

use std::io::BufReader;

use scenario_model::bundle::Bundle;
use scenario_model::report::Judge;

use crate::cli::JudgeArgs;
use crate::operator::OperatorError;
use crate::output;
use crate::text::{Style, render};

/// Judges a bundle; the exit code of its report.
///
/// # Errors
/// A file that cannot be read or is no bundle.
pub fn judge(args: &JudgeArgs) -> Result<u8, OperatorError> {
    let name = args.bundle.display().to_string();
    let file = std::fs::File::open(&args.bundle)
        .map_err(|source| OperatorError::Read { path: args.bundle.clone(), source })?;
    let bundle = Bundle::read(&name, BufReader::new(file))?;
    let judge = Judge::of(&bundle)?;
    let report = judge.report(&name, &bundle)?;
    output::write_reports(&report, args.json.as_deref(), args.junit.as_deref())?;
    let style = Style { colour: output::colour(), subject: bundle.header.subject.name.clone() };
    output::data(&render(&report, &bundle, &judge, &style));
    Ok(report.exit.code())
}
