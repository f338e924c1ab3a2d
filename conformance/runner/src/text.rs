//! The report for a person at a terminal. A function of report and bundle.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use scenario_model::bundle::Bundle;
use scenario_model::diagnostic::{excerpt, line_and_column};
use scenario_model::load::ResolvedCheck;
use scenario_model::moment::Seconds;
use scenario_model::report::{Judge, Report, Row};
use scenario_model::scenario::Lane;
use scenario_model::timeline::timeline;
use scenario_model::trace::Trace;
use scenario_model::verdict::{CheckVerdict, ExitCode, Outcome};

use crate::hint::{Hint, hints};
use crate::selftest;

/// How the report is shown.
#[derive(Debug, Clone)]
pub struct Style {
    /// With terminal colours.
    pub colour: bool,
    /// What the user typed for the subject, for the commands that repeat a failure.
    pub subject: String,
}

/// Lines of a timeline that are shown for one failure.
const TIMELINE: usize = 40;
/// Permutations that are named for one failure.
const NAMED: usize = 6;

/// The whole report.
pub fn render(report: &Report, bundle: &Bundle, judge: &Judge, style: &Style) -> String {
    let mut out = String::new();
    for ((check, outcome), rows) in grouped(report) {
        failure(&mut out, bundle, judge, style, &check, outcome, &rows);
    }
    if let Ok(matrix) = selftest::checked_in() {
        looks_like(&mut out, &hints(report, &matrix), report);
    }
    notes(&mut out, report);
    summary(&mut out, report, style);
    out
}

type Group<'r> = Vec<(&'r Row, &'r CheckVerdict)>;

/// What is worth a paragraph: one for each check and outcome, whatever the number of permutations.
fn grouped(report: &Report) -> BTreeMap<(String, Outcome), Group<'_>> {
    let mut groups: BTreeMap<(String, Outcome), Group<'_>> = BTreeMap::new();
    for row in &report.rows {
        for verdict in &row.checks {
            let shown = match verdict.outcome {
                Outcome::Fail
                | Outcome::NotTestable
                | Outcome::Warn
                | Outcome::Inconclusive
                | Outcome::UnexpectedPass => true,
                Outcome::NotApplicable
                | Outcome::Pass
                | Outcome::Info
                | Outcome::KnownFailure
                | Outcome::NotRun
                | Outcome::Error => false,
            };
            if shown {
                groups.entry((verdict.check.clone(), verdict.outcome)).or_default().push((row, verdict));
            }
        }
    }
    groups
}

fn failure(
    out: &mut String,
    bundle: &Bundle,
    judge: &Judge,
    style: &Style,
    check: &str,
    outcome: Outcome,
    rows: &Group<'_>,
) {
    let (row, verdict) = rows[0];
    let _ = writeln!(out, "{} {check}", paint(style, outcome, &outcome.as_str().to_uppercase()));
    let _ = writeln!(out, "  {} {}", level(verdict), verdict.claim);
    let _ = writeln!(out, "  covers {}", verdict.covers.join(", "));
    if rows.len() == 1 {
        let _ = writeln!(out, "  in {}", row.permutation);
    } else {
        let _ = writeln!(out, "  in {} permutations:", rows.len());
        for (row, _) in rows.iter().take(NAMED) {
            let _ = writeln!(out, "    {}", row.permutation);
        }
        if rows.len() > NAMED {
            let _ = writeln!(out, "    and {} more", rows.len() - NAMED);
        }
        let _ = writeln!(out, "  the first of them:");
    }
    let resolved = resolved(judge, bundle, row, check);
    for finding in &verdict.findings {
        let _ = writeln!(out, "    expected  {}", finding.expected);
        let _ = writeln!(out, "    observed  {}", printable(&finding.observed));
        if let Some((check, text)) = resolved.as_ref().filter(|(c, _)| finding.clause < c.places.len()) {
            let place = &check.places[finding.clause];
            let (line, column) = line_and_column(text, place.start);
            let _ = writeln!(out, "    --> {}:{line}:{column}", check.file);
            for line in excerpt(text, place).lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
    }
    if outcome == Outcome::UnexpectedPass {
        let _ = writeln!(out, "  it is listed as a known failure and passes: take it off the list");
    }
    if outcome != Outcome::UnexpectedPass {
        show_timeline(out, bundle, row, verdict);
    }
    let _ = writeln!(
        out,
        "  repeat    flightcheck run {} --run '{}'",
        style.subject,
        without_surface(&row.permutation)
    );
    let _ = writeln!(out);
}

fn without_surface(permutation: &str) -> &str {
    permutation.rsplit_once('@').map_or(permutation, |(id, _)| id)
}

fn show_timeline(out: &mut String, bundle: &Bundle, row: &Row, verdict: &CheckVerdict) {
    let Some((_, events)) = bundle.events(&row.permutation) else { return };
    let trace = Trace::new(events.clone());
    let lines = timeline(trace.events());
    let moment = verdict.findings.iter().filter_map(|f| f.at_us).min().unwrap_or(0);
    let around = lines.iter().position(|l| l.at_us >= moment).unwrap_or(0);
    let from = around.saturating_sub(TIMELINE / 2);
    let _ = writeln!(out, "  what happened:");
    if from > 0 {
        let _ = writeln!(out, "    … {from} earlier");
    }
    for line in lines.iter().skip(from).take(TIMELINE) {
        let mark = if line.at_us == moment && moment > 0 { ">" } else { " " };
        let _ = writeln!(
            out,
            "  {mark} {:>8.3} s  {:<7}  {}",
            line.at_us as f64 / 1e6,
            line.party,
            printable(&line.text)
        );
    }
    let rest = lines.len().saturating_sub(from + TIMELINE);
    if rest > 0 {
        let _ = writeln!(out, "    … {rest} later");
    }
}

/// What a subject says must not steer the terminal that shows it.
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn resolved(judge: &Judge, bundle: &Bundle, row: &Row, check: &str) -> Option<(ResolvedCheck, String)> {
    if let Some(rule) = judge.rules().iter().find(|r| r.id == check) {
        return Some((rule.clone(), bundle.header.rules.text.clone()));
    }
    let planned = bundle.header.planned.iter().find(|p| p.id == row.permutation)?;
    let combination = judge.combination(planned)?;
    let check = combination.checks.iter().find(|c| c.id == check)?;
    let source = bundle.header.sources.iter().find(|s| s.id == row.scenario)?;
    Some((check.clone(), source.text.clone()))
}

/// What the failures have in common with those of known defects; of the reference client it is known what it has.
fn looks_like(out: &mut String, hints: &[Hint], report: &Report) {
    if hints.is_empty() || report.subject.name.starts_with("reference") {
        return;
    }
    let _ = writeln!(out, "The failures look like those of a client that");
    for hint in hints {
        let (defect, explains) = (hint.defect, hint.explains.len());
        let _ = writeln!(out, "  {} (`{defect}`)", defect.describe());
        let _ = writeln!(
            out,
            "    fails {} of the {} checks that it fails; explains {explains}: {}",
            hint.shared,
            hint.fails,
            hint.explains.join(", ")
        );
    }
    let _ = writeln!(out);
}

fn notes(out: &mut String, report: &Report) {
    let mut reasons: BTreeMap<(Outcome, &str), usize> = BTreeMap::new();
    for row in &report.rows {
        if let Some(note) = &row.note {
            *reasons.entry((row.outcome, note)).or_default() += 1;
        }
    }
    for ((outcome, note), count) in reasons {
        let _ = writeln!(out, "{outcome}: {count} permutations: {note}");
    }
    for entry in &report.unmatched_entries {
        let _ = writeln!(out, "stale: the known-failures entry `{entry}` lists no check of the catalogue");
    }
    for entry in &report.expired_entries {
        let _ = writeln!(out, "stale: the known-failures entry `{entry}` has expired: look at it again");
    }
    if report.partial {
        let _ = writeln!(out, "partial: the run was cut short, or its record is not whole");
    }
}

fn summary(out: &mut String, report: &Report, style: &Style) {
    let version = report.subject.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
    let _ = writeln!(out, "subject       {}{version}", report.subject.name);
    if let Some(calibration) = report.calibration {
        let _ = writeln!(
            out,
            "refresh skew  {} to {} before expiry{}",
            Seconds(calibration.lower),
            Seconds(calibration.upper),
            if calibration.monotonic {
                ""
            } else {
                ", not monotonic: a shorter life was kept where a longer was not"
            }
        );
    }
    let _ = writeln!(
        out,
        "requirements  {} ({})",
        report.requirements.set,
        &report.requirements.hash[..12.min(report.requirements.hash.len())]
    );
    time(out, report);
    let _ = writeln!(out, "permutations  {}", counted(&report.permutations, style));
    let _ = writeln!(out, "checks        {} = {}", report.planned, counted(&report.counts, style));
    let answer = match report.exit {
        ExitCode::Conformant => "conformant",
        ExitCode::NotConformant => "not conformant",
        ExitCode::Usage => "usage",
        ExitCode::Ours => "no verdict: our own error, an interrupted run, or doubt",
        ExitCode::StaleList => "the known-failures list is stale",
    };
    let _ = writeln!(out, "verdict       {answer} (exit {})", report.exit.code());
}

/// Where the time went: what the lanes did side by side, and who was the longest in each.
fn time(out: &mut String, report: &Report) {
    if report.took_us == 0 {
        return;
    }
    let seconds = |us: u64| format!("{:.1} s", us as f64 / 1e6);
    let all: u64 = report.rows.iter().map(|row| row.took_us).sum();
    let _ = writeln!(out, "time          {}; one after another {}", seconds(report.took_us), seconds(all));
    for (lane, name) in [(Lane::Hang, "hang"), (Lane::Clock, "clock"), (Lane::Instant, "instant")] {
        let rows = || report.rows.iter().filter(|row| row.lane == lane && row.took_us > 0);
        if let Some(longest) = rows().max_by_key(|row| row.took_us) {
            let took = seconds(rows().map(|row| row.took_us).sum());
            let longest_took = seconds(longest.took_us);
            let _ = writeln!(
                out,
                "  {name:<10}  {} in {took}; longest {} {longest_took}",
                rows().count(),
                longest.permutation
            );
        }
    }
}

fn counted(counts: &scenario_model::verdict::Counts, style: &Style) -> String {
    let parts: Vec<String> = Outcome::ALL
        .iter()
        .filter(|o| counts.get(**o) > 0)
        .map(|o| paint(style, *o, &format!("{} {o}", counts.get(*o))))
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

fn level(verdict: &CheckVerdict) -> &'static str {
    match verdict.level {
        scenario_model::scenario::Level::Must => "MUST  ",
        scenario_model::scenario::Level::Should => "SHOULD",
        scenario_model::scenario::Level::May => "MAY   ",
    }
}

fn paint(style: &Style, outcome: Outcome, text: &str) -> String {
    if !style.colour {
        return text.to_owned();
    }
    let code = match outcome {
        Outcome::Pass => "32",
        Outcome::Fail | Outcome::NotTestable | Outcome::Error => "31",
        Outcome::Warn | Outcome::Inconclusive | Outcome::UnexpectedPass | Outcome::NotRun => "33",
        Outcome::NotApplicable | Outcome::Info | Outcome::KnownFailure => "2",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_subject_says_does_not_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mé\r"), "a\\u{1b}[31mé\\r");
    }
}
