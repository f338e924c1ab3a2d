//! `judge` and `merge`: saved runs judged again.

use std::io::BufReader;
use std::path::Path;

use scenario_model::bundle::Bundle;
use scenario_model::merge;
use scenario_model::report::Judge;

use crate::certify;
use crate::cli::{JudgeArgs, MergeArgs};
use crate::operator::OperatorError;
use crate::output;
use crate::text::{Style, render};

/// Judges a bundle; the exit code of its report.
///
/// # Errors
/// A file that cannot be read or is no bundle.
pub fn judge(args: &JudgeArgs) -> Result<u8, OperatorError> {
    let (name, bundle) = read(&args.bundle)?;
    show(&name, &bundle, args.json.as_deref(), args.junit.as_deref())
}

/// Judges the parts of a split run together; the exit code of the whole.
///
/// # Errors
/// A file that cannot be read or is no bundle, and parts that do not make a whole.
pub fn merge(args: &MergeArgs) -> Result<u8, OperatorError> {
    let outputs: Vec<&Path> =
        [&args.json, &args.junit, &args.bundle].into_iter().flatten().map(|p| p.as_path()).collect();
    if let Some(input) = args.bundles.iter().find(|input| outputs.contains(&input.as_path())) {
        let message = format!("`{}` is a part and an output: it would be lost", input.display());
        return Err(OperatorError::Selection(message));
    }
    let parts = args.bundles.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let whole = merge::merge(parts).map_err(|e| OperatorError::Selection(e.to_string()))?;
    output::must_be_writable(&outputs)?;
    if let Some(path) = &args.bundle {
        certify::write_bundle(path, &whole)?;
    }
    show("the merged run", &whole, args.json.as_deref(), args.junit.as_deref())
}

fn read(path: &Path) -> Result<(String, Bundle), OperatorError> {
    let name = path.display().to_string();
    let file =
        std::fs::File::open(path).map_err(|source| OperatorError::Read { path: path.to_owned(), source })?;
    let bundle = Bundle::read(&name, BufReader::new(file))?;
    Ok((name, bundle))
}

fn show(name: &str, bundle: &Bundle, json: Option<&Path>, junit: Option<&Path>) -> Result<u8, OperatorError> {
    let judge = Judge::of(bundle)?;
    let report = judge.report(name, bundle)?;
    output::write_reports(&report, json, junit)?;
    let style = Style { colour: output::colour(), subject: bundle.header.typed.clone() };
    output::data(&render(&report, bundle, &judge, &style));
    Ok(report.exit.code())
}
