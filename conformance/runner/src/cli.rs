//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use scenario_model::provider::Provider;
use scenario_model::scenario::Profile;

/// Certifies how a Flight SQL client authenticates.
#[derive(Debug, Parser)]
#[command(name = "flightcheck", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  conformant: every check that counts has positive evidence
  1  not conformant: a check failed, or could not be tested
  2  usage: the command line, a file or the subject is wrong, or the selection matches nothing
  3  no verdict: our own error, an interrupted run, or a machine that stalled
  4  the known-failures list is stale

A subject is a `subject.toml`, the folder that holds one, a Grafana plugin (zip, folder or executable), `reference` or
`reference-server`.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Drive a client through scenarios and judge what went over the wire.
    Run(RunArgs),
    /// List the scenarios, their checks and permutations.
    List(ListArgs),
    /// Explain a scenario, a check or a requirement.
    Explain(ExplainArgs),
    /// Tell in seconds whether a subject can be driven at all.
    Smoke(SubjectArgs),
    /// Measure how long before its expiry a subject stops using a token.
    Calibrate(SubjectArgs),
    /// Write a `subject.toml` for a Grafana plugin after looking at it.
    Init(InitArgs),
    /// Name what will break in saved data sources: exported JSON or provisioning YAML.
    LintSettings(LintSettingsArgs),
    /// Judge a saved run again.
    Judge(JudgeArgs),
    /// Put the parts of a split run together and judge the whole.
    Merge(MergeArgs),
    /// Run whole profiles three times, in another order each time, for a certificate that anyone can check.
    Certify(CertifyArgs),
    /// Print the requirement set as a table: what each sentence comes from, what tests it, or who meets it.
    Requirements(RequirementsArgs),
    /// Print what each defect of the reference client and server does, and which checks fail it.
    Defects,
    /// Prove that the suite can fail: every defect of the reference client against the whole catalogue.
    Selftest(SelftestArgs),
    /// Print the JSON Schema of a file that flightcheck reads or writes.
    Schema(SchemaArgs),
    /// The reference client over stdio, with a named defect: what `selftest` drives.
    #[command(hide = true)]
    ReferenceClient(ReferenceClientArgs),
    /// The reference server, with a named defect: what `run reference-server` calls.
    #[command(hide = true)]
    ReferenceServer(ReferenceServerArgs),
}

/// Arguments of the reference server.
#[derive(Debug, Args)]
pub struct ReferenceServerArgs {
    /// Where it listens on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// The issuer that it trusts.
    #[arg(long)]
    pub issuer: String,
    /// For whom its tokens must be.
    #[arg(long)]
    pub audience: String,
    /// Its certificate chain (PEM).
    #[arg(long)]
    pub cert: PathBuf,
    /// The private key (PEM).
    #[arg(long)]
    pub key: PathBuf,
    /// A way to misjudge callers.
    #[arg(long)]
    pub defect: Option<flightsql_server::Defect>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The client or server under test.
    #[arg(default_value = "reference")]
    pub subject: String,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it")]
    pub selection: SelectionArgs,
    /// Failures that are known; they still run and must still fail.
    #[arg(long, value_name = "FILE")]
    pub known_failures: Option<PathBuf>,
    /// Write what fails as a known-failures list, to be looked at and explained.
    #[arg(long, value_name = "FILE")]
    pub write_known_failures: Option<PathBuf>,
    /// How many permutations work at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Seed of every random choice, to repeat a run.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// A warning (a SHOULD that is not met) counts as a failure.
    #[arg(long, value_name = "LEVEL")]
    pub deny: Option<Deny>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write everything that was recorded, to be judged again by `flightcheck judge`.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// A named defect or variant of the reference client.
    #[arg(long, value_name = "NAME", conflicts_with = "variant")]
    pub defect: Option<String>,
    /// A benign variant of the reference client.
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
}

/// What `--deny` takes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Deny {
    /// A SHOULD that is not met fails.
    Should,
}

/// Which scenarios.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectionArgs {
    /// Only scenarios of this profile; may be repeated.
    #[arg(long, value_name = "P", value_parser = profile)]
    pub profile: Vec<Profile>,
    /// Only scenarios that match `family/*`, `**/name` or `family/name[key=value]`; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub run: Vec<String>,
    /// No scenarios that match; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    pub skip: Vec<String>,
    /// Every issuer is like this provider (auth0, cognito, entra-v1, entra-v2, keycloak, okta-custom, ping), and clients are
    /// configured as its documentation says; what a scenario decides itself does not apply.
    #[arg(long, value_name = "NAME", value_parser = provider)]
    pub provider: Option<Provider>,
    /// Part I of N.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Your own scenarios, beside those that ship.
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

fn provider(text: &str) -> Result<Provider, String> {
    let found = Provider::SERVING.into_iter().find(|provider| provider.as_str() == text);
    found.ok_or_else(|| {
        let known = Provider::SERVING.map(Provider::as_str);
        if Provider::ALL.iter().any(|provider| provider.as_str() == text) {
            return "it gives no token for client credentials that a server can verify".to_owned();
        }
        scenario_model::diagnostic::word_help(text, known)
    })
}

fn profile(text: &str) -> Result<Profile, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| {
        let known = [
            "core",
            "oauth-cc",
            "resilience",
            "concurrency",
            "attribution",
            "hygiene",
            "plugin",
            "resource-server",
            "http-resource",
        ];
        scenario_model::diagnostic::word_help(text, known)
    })
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it")]
    pub selection: SelectionArgs,
    /// Show what applies to this subject.
    #[arg(long, value_name = "SUBJECT", default_value = "reference")]
    pub subject: String,
    /// Show the permutations, too.
    #[arg(long)]
    pub permutations: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// `family/name`, `family/name#check` or a requirement such as `FC-CACHE-1`.
    pub id: String,
    /// Your own scenarios, beside those that ship.
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
}

/// A subject.
#[derive(Debug, Args)]
pub struct SubjectArgs {
    /// The client under test.
    #[arg(default_value = "reference")]
    pub subject: String,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The plugin: its zip, its folder or its executable.
    pub plugin: String,
}

/// Arguments of `lint-settings`.
#[derive(Debug, Args)]
pub struct LintSettingsArgs {
    /// Exported data sources (JSON) or provisioning files (YAML).
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// Arguments of `judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// What `flightcheck run --bundle` wrote.
    pub bundle: PathBuf,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// What `flightcheck run --shard I/N --bundle FILE` wrote, all N parts.
    #[arg(required = true, value_name = "BUNDLE")]
    pub bundles: Vec<PathBuf>,
    /// Write the whole as one bundle.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as JUnit XML.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Arguments of `certify`: there is no narrower selection than a profile, and no known failure.
#[derive(Debug, Args)]
pub struct CertifyArgs {
    /// The client under test.
    #[arg(default_value = "reference")]
    pub subject: String,
    /// Only this profile; may be repeated.
    #[arg(long, value_name = "P", value_parser = profile)]
    pub profile: Vec<Profile>,
    /// Seed of the first run; the others follow from it.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder for `certificate.json` and the three bundles.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Arguments of `requirements`.
#[derive(Debug, Args)]
pub struct RequirementsArgs {
    /// Reports of `flightcheck run --json`: show how their subjects meet each sentence.
    #[arg(value_name = "REPORT")]
    pub reports: Vec<PathBuf>,
}

/// Arguments of `selftest`.
#[derive(Debug, Args)]
pub struct SelftestArgs {
    /// Only these defects, variants and wrong worlds (`world:untroubled`); may be repeated.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would show it")]
    pub selection: SelectionArgs,
    /// Of each defect run only what the matrix says it does not pass, and one scenario in N of the others: quicker, and enough
    /// to see that each check still fails where it must.
    #[arg(long, value_name = "N", conflicts_with = "write_matrix", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub sample: Option<u16>,
    /// Write the matrix that was found instead of comparing it with the one that is checked in; with a selection only its
    /// part of it is new.
    #[arg(long, value_name = "FILE")]
    pub write_matrix: Option<PathBuf>,
    /// Write the words and bounds of clauses that could ask for less without a verdict that shows it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["only", "profile", "run", "skip", "shard"])]
    pub loose: Option<PathBuf>,
    /// How many permutations work at once.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which file.
    pub file: SchemaFile,
}

/// Files with a published schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum SchemaFile {
    /// A scenario.
    Scenario,
    /// A subject's manifest.
    Manifest,
    /// A known-failures list.
    KnownFailures,
    /// A requirement set.
    Requirements,
    /// An event of a bundle.
    Event,
    /// The JSON report.
    Report,
}

/// Arguments of the reference client.
#[derive(Debug, Args)]
pub struct ReferenceClientArgs {
    /// Passed on.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}
