//! `certify`: whole profiles, three times, in another order each time, and what anyone needs to check the result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use scenario_model::bundle::{SetInfo, SubjectInfo};
use scenario_model::report::Report;
use scenario_model::scenario::Profile;
use scenario_model::verdict::{Counts, ExitCode, Outcome};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::certify::{Conducted, Order, conduct};
use crate::cli::{CertifyArgs, RunArgs, SelectionArgs};
use crate::operator::OperatorError;
use crate::output;
use crate::text::{Style, render};

/// How often everything is run.
const RUNS: u64 = 3;

/// `certificate.json`: what was certified, and the bundles that show it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Certificate {
    /// Version of this form: 1.
    pub format: u32,
    /// Name and version of the program.
    pub tool: String,
    /// What was under test.
    pub subject: SubjectInfo,
    /// The requirement set.
    pub requirements: SetInfo,
    /// The profiles; empty for the whole catalogue.
    pub profiles: Vec<Profile>,
    /// Every run was conformant, and all gave the same verdicts.
    pub certified: bool,
    /// Checks whose outcome was not the same in every run, as `PERMUTATION CHECK`.
    pub unsteady: Vec<String>,
    /// The runs.
    pub runs: Vec<Run>,
}

/// One run of a certificate.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Run {
    /// When it was started, RFC 3339.
    pub started: String,
    /// Seed of the order and of every other random choice.
    pub seed: u64,
    /// Checks by outcome.
    pub counts: Counts,
    /// The answer.
    pub exit: ExitCode,
    /// Its bundle, beside the certificate.
    pub bundle: String,
    /// SHA-256 of that file, as hexadecimal.
    pub sha256: String,
}

/// Runs, compares, writes; the exit code of the certificate.
///
/// # Errors
/// What the operator must put right.
pub async fn certify(args: &CertifyArgs) -> Result<u8, OperatorError> {
    let written = |source| OperatorError::Write { path: args.out.clone(), source };
    std::fs::create_dir_all(&args.out).map_err(written)?;
    let seed: u64 = args.seed.unwrap_or_else(rand::random);
    let mut reports = Vec::new();
    let mut runs = Vec::new();
    for nth in 0..RUNS {
        output::talk(&format!("run {} of {RUNS}", nth + 1));
        let name = format!("run-{}.jsonl", nth + 1);
        let path = args.out.join(&name);
        let run = run_args(args, seed.wrapping_add(nth), path.clone());
        let Conducted { report, bundle, judge } = conduct(&run, Order::Shuffled).await?;
        if report.partial {
            output::talk("interrupted: there is no certificate");
            return Ok(ExitCode::Ours.code());
        }
        if report.exit != ExitCode::Conformant {
            let style = Style { colour: output::colour(), subject: args.subject.clone() };
            output::data(&render(&report, &bundle, &judge, &style));
        }
        let bytes = std::fs::read(&path).map_err(|source| OperatorError::Read { path, source })?;
        runs.push(Run {
            started: report.started.clone(),
            seed: report.seed,
            counts: report.counts.clone(),
            exit: report.exit,
            bundle: name,
            sha256: Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect(),
        });
        reports.push(report);
    }
    let certificate = certificate(args, &reports, runs);
    let mut text = serde_json::to_string_pretty(&certificate).expect("plain data");
    text.push('\n');
    output::write(&args.out.join("certificate.json"), &text)?;
    output::data(&in_words(&certificate, args));
    Ok(exit(&certificate).code())
}

fn run_args(args: &CertifyArgs, seed: u64, bundle: PathBuf) -> RunArgs {
    RunArgs {
        subject: args.subject.clone(),
        selection: SelectionArgs { profile: args.profile.clone(), ..SelectionArgs::default() },
        known_failures: None,
        write_known_failures: None,
        jobs: 4,
        seed: Some(seed),
        deny: None,
        json: None,
        junit: None,
        bundle: Some(bundle),
        defect: None,
        variant: None,
    }
}

fn certificate(args: &CertifyArgs, reports: &[Report], runs: Vec<Run>) -> Certificate {
    let first = &reports[0];
    let unsteady = unsteady(reports);
    let conformant = runs.iter().all(|run| run.exit == ExitCode::Conformant);
    Certificate {
        format: 1,
        tool: first.tool.clone(),
        subject: first.subject.clone(),
        requirements: first.requirements.clone(),
        profiles: args.profile.clone(),
        certified: conformant && unsteady.is_empty(),
        unsteady,
        runs,
    }
}

fn unsteady(reports: &[Report]) -> Vec<String> {
    let mut outcomes: BTreeMap<(&str, &str), BTreeSet<Outcome>> = BTreeMap::new();
    for row in reports.iter().flat_map(|r| &r.rows) {
        for check in &row.checks {
            outcomes.entry((&row.permutation, &check.check)).or_default().insert(check.outcome);
        }
    }
    let unsteady = outcomes.into_iter().filter(|(_, outcomes)| outcomes.len() > 1);
    unsteady.map(|((permutation, check), _)| format!("{permutation} {check}")).collect()
}

/// A run that was not conformant decides; then doubt: other verdicts in another order are no verdict.
fn exit(certificate: &Certificate) -> ExitCode {
    let exits = || certificate.runs.iter().map(|run| run.exit);
    exits()
        .find(|exit| *exit == ExitCode::NotConformant)
        .or_else(|| exits().find(|exit| *exit != ExitCode::Conformant))
        .unwrap_or(if certificate.certified { ExitCode::Conformant } else { ExitCode::Ours })
}

fn in_words(certificate: &Certificate, args: &CertifyArgs) -> String {
    let profiles: Vec<String> = certificate
        .profiles
        .iter()
        .filter_map(|p| serde_json::to_value(p).ok()?.as_str().map(str::to_owned))
        .collect();
    let profiles = if profiles.is_empty() { "all".to_owned() } else { profiles.join(", ") };
    let version = certificate.subject.version.as_ref().map(|v| format!(" {v}")).unwrap_or_default();
    let mut out = String::new();
    for line in &certificate.unsteady {
        out.push_str(&format!("unsteady      {line}\n"));
    }
    out.push_str(&format!("subject       {}{version}\n", certificate.subject.name));
    out.push_str(&format!(
        "requirements  {} ({})\n",
        certificate.requirements.set, certificate.requirements.hash
    ));
    out.push_str(&format!("profiles      {profiles}\n"));
    for run in &certificate.runs {
        let checks = run.counts.planned();
        let passed = run.counts.get(Outcome::Pass);
        out.push_str(&format!(
            "run           seed {}: {passed} of {checks} checks pass, exit {}\n",
            run.seed,
            run.exit.code()
        ));
    }
    let verdict = if certificate.certified { "certified" } else { "not certified" };
    out.push_str(&format!("verdict       {verdict}: see {}\n", args.out.join("certificate.json").display()));
    out
}
