//! `flightcheck`: certifies how a Flight SQL client authenticates.

use std::process::ExitCode;

use clap::Parser;
use flightcheck::cli::{Cli, Command};
use flightcheck::interrupt::interrupted;
use flightcheck::operator::OperatorError;
use flightcheck::{
    certificate, certify, defects, explain, init, lint_settings, output, reference_server, rejudge,
    requirements, selftest, smoke,
};

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Command::ReferenceClient(args) = cli.command {
        return reference_client::main_stdio(args.args);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::talk(&format!("error: cannot start the runtime: {error}"));
            return ExitCode::from(3);
        }
    };
    let code = runtime.block_on(dispatch(cli.command)).unwrap_or_else(|error| {
        let text = error.to_string();
        // Mistakes in files say so themselves, each with its place.
        let lead = if text.starts_with("error: ") { "" } else { "error: " };
        output::talk(&format!("{lead}{}", text.trim_end()));
        error.exit_code()
    });
    // Tasks that still wait for a silent peer end with the process.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Dropped in mid-way, the work ends its subject and removes its files.
async fn unless_interrupted<T>(
    work: impl Future<Output = Result<T, OperatorError>>,
) -> Result<T, OperatorError> {
    tokio::select! {
        // First, so that we listen before there is a process to leave behind.
        biased;
        () = interrupted() => Err(OperatorError::Interrupted),
        done = work => done,
    }
}

async fn dispatch(command: Command) -> Result<u8, OperatorError> {
    match command {
        Command::Run(args) => Ok(certify::run(&args).await?.exit.code()),
        Command::List(args) => explain::list(&args).map(|()| 0),
        Command::Explain(args) => explain::explain(&args).map(|()| 0),
        Command::Smoke(args) => unless_interrupted(smoke::smoke(&args.subject)).await,
        Command::Calibrate(args) => {
            unless_interrupted(smoke::calibrate_subject(&args.subject)).await.map(|()| 0)
        }
        Command::Init(args) => init::init(&args).map(|()| 0),
        Command::LintSettings(args) => lint_settings::lint_settings(&args),
        Command::Judge(args) => rejudge::judge(&args),
        Command::Merge(args) => rejudge::merge(&args),
        Command::Certify(args) => certificate::certify(&args).await,
        Command::Requirements(args) => requirements::requirements(&args).map(|()| 0),
        Command::Defects => defects::defects().map(|()| 0),
        Command::Selftest(args) => selftest::selftest(&args).await,
        Command::Schema(args) => {
            explain::schema(args.file);
            Ok(0)
        }
        Command::ReferenceServer(args) => reference_server::serve(&args).await.map(|()| 0),
        Command::ReferenceClient(_) => unreachable!("handled before the runtime was started"),
    }
}
