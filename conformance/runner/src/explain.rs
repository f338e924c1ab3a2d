//! `list`, `explain` and `schema`: what there is, in words.

use std::fmt::Write as _;

use scenario_model::catalogue::Catalogue;
use scenario_model::diagnostic::word_help;
use scenario_model::document::{data_schema, schema_value};
use scenario_model::load::{Loaded, ResolvedCheck};
use scenario_model::scenario::Lane;

use crate::cli::{ExplainArgs, ListArgs, SchemaFile};
use crate::embedded;
use crate::operator::OperatorError;
use crate::output;
use crate::select::select;
use crate::target::Target;

/// Lists scenarios, or permutations.
///
/// # Errors
/// What the operator must put right.
pub fn list(args: &ListArgs) -> Result<(), OperatorError> {
    let target = Target::find(&args.subject)?;
    let catalogue = embedded::catalogue(args.selection.scenarios.as_deref())?;
    let (permutations, _) = select(&args.selection, &catalogue, &target.manifest)?;
    let mut out = String::new();
    if args.permutations {
        for permutation in &permutations {
            let note = permutation.not_applicable.as_ref().map(|why| format!("  (not applicable: {why})"));
            let _ = writeln!(out, "{}{}", permutation.id, note.unwrap_or_default());
        }
    } else {
        for loaded in &catalogue.scenarios {
            let own: Vec<_> = permutations.iter().filter(|p| p.scenario_id == loaded.id).collect();
            let Some(first) = own.first() else { continue };
            let applicable = own.iter().filter(|p| p.not_applicable.is_none()).count();
            let _ = writeln!(
                out,
                "{:<56} {:>3} of {:>2}  {:<7}  {}",
                loaded.id,
                applicable,
                own.len(),
                lane(first.lane()),
                first.scenario().title
            );
        }
    }
    output::data(&out);
    Ok(())
}

fn lane(lane: Lane) -> &'static str {
    match lane {
        Lane::Hang => "hang",
        Lane::Clock => "clock",
        Lane::Instant => "instant",
    }
}

/// Explains a scenario, a check or a requirement.
///
/// # Errors
/// An id that is none.
pub fn explain(args: &ExplainArgs) -> Result<(), OperatorError> {
    let catalogue = embedded::catalogue(args.scenarios.as_deref())?;
    let scenario_id = args.id.split(['#', '[']).next().unwrap_or_default();
    let text = if let Some(text) = requirement(&catalogue, &args.id) {
        text
    } else if let Some(loaded) = catalogue.scenarios.iter().find(|s| s.id == scenario_id) {
        let wanted = args.id.split_once('#').map(|_| args.id.as_str());
        let known = checks(loaded).iter().any(|c| wanted.is_none_or(|w| c.id == w));
        if !known {
            let checks = checks(loaded);
            let ids: Vec<&str> = checks.iter().map(|c| c.id.as_str()).collect();
            return Err(unknown("check", &args.id, &ids));
        }
        scenario(&catalogue, loaded, wanted)
    } else if let Some(rule) = catalogue.rules.iter().find(|r| r.id == args.id) {
        check(&catalogue, rule)
    } else {
        let mut ids: Vec<&str> = catalogue.scenarios.iter().map(|s| s.id.as_str()).collect();
        ids.extend(catalogue.requirements.requirement.iter().map(|r| r.id.as_str()));
        ids.extend(catalogue.rules.iter().map(|r| r.id.as_str()));
        return Err(unknown("scenario, check or requirement", &args.id, &ids));
    };
    output::data(&text);
    Ok(())
}

fn unknown(what: &'static str, name: &str, known: &[&str]) -> OperatorError {
    let near = scenario_model::diagnostic::did_you_mean(name, known.iter().copied());
    let help = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() <= 12 => word_help(name, known.iter().copied()),
        None => "see `flightcheck list`".to_owned(),
    };
    OperatorError::Unknown { what, name: name.to_owned(), help }
}

/// The checks of a scenario, each once.
fn checks(loaded: &Loaded) -> Vec<ResolvedCheck> {
    let mut all: Vec<ResolvedCheck> = Vec::new();
    for check in loaded.combinations.iter().flat_map(|c| c.checks.iter()) {
        if !all.iter().any(|known| known.id == check.id) {
            all.push(check.clone());
        }
    }
    all
}

fn scenario(catalogue: &Catalogue, loaded: &Loaded, wanted: Option<&str>) -> String {
    let mut out = String::new();
    let Some(first) = loaded.combinations.first() else { return out };
    let _ = writeln!(out, "{}\n  {}", loaded.id, first.scenario.title);
    let _ = writeln!(
        out,
        "  {} ({} permutations, lane {})",
        loaded.document.file,
        loaded.combinations.len(),
        lane(first.scenario.lane)
    );
    for (name, values) in &first.scenario.matrix {
        let values: Vec<String> = values.iter().map(ToString::to_string).collect();
        let _ = writeln!(out, "  {name}: {}", values.join(", "));
    }
    for one in checks(loaded).iter().filter(|c| wanted.is_none_or(|w| c.id == w)) {
        let _ = writeln!(out);
        out.push_str(&check(catalogue, one));
    }
    out
}

fn check(catalogue: &Catalogue, check: &ResolvedCheck) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n  {}", check.id, check.claim);
    for clause in &check.requires {
        let _ = writeln!(out, "  testable if  {clause}");
    }
    for clause in &check.expect {
        let _ = writeln!(out, "  expects      {clause}");
    }
    for id in &check.covers {
        if let Some(r) = catalogue.requirements.get(id) {
            let _ = writeln!(out, "  {} {}: {} ({})", r.id, level(r.keyword), r.text, r.source);
        }
    }
    out
}

fn level(level: scenario_model::scenario::Level) -> &'static str {
    match level {
        scenario_model::scenario::Level::Must => "MUST",
        scenario_model::scenario::Level::Should => "SHOULD",
        scenario_model::scenario::Level::May => "MAY",
    }
}

fn requirement(catalogue: &Catalogue, id: &str) -> Option<String> {
    let requirement = catalogue.requirements.get(id)?;
    let mut out = String::new();
    let _ = writeln!(out, "{} {}\n  {}", requirement.id, level(requirement.keyword), requirement.text);
    let _ = writeln!(out, "  source: {}", requirement.source);
    if let Some(reason) = &requirement.excluded {
        let _ = writeln!(out, "  not tested: {reason}");
    }
    let all = catalogue.scenarios.iter().flat_map(checks).chain(catalogue.rules.iter().cloned());
    for check in all.filter(|c| c.covers.iter().any(|covered| covered == id)) {
        let _ = writeln!(out, "  tested by {}", check.id);
    }
    Some(out)
}

/// Prints a schema.
pub fn schema(file: SchemaFile) {
    let value = match file {
        SchemaFile::Scenario => schema_value::<scenario_model::scenario::Scenario>(),
        SchemaFile::Manifest => schema_value::<scenario_model::manifest::Manifest>(),
        SchemaFile::KnownFailures => schema_value::<scenario_model::known_failures::KnownFailures>(),
        SchemaFile::Requirements => schema_value::<scenario_model::requirements::Requirements>(),
        SchemaFile::Event => data_schema::<scenario_model::event::Event>(),
        SchemaFile::Report => data_schema::<scenario_model::report::Report>(),
    };
    output::data(&format!("{:#}\n", value));
}
