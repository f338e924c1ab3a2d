//! `flightsql-server`: the reference Flight SQL server as a program.

mod program;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = program::Args::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    match runtime.block_on(program::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            program::say(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}
