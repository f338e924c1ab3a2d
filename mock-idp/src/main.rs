//! The program `mock-idp`.

mod cli;
mod health;
mod output;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use mock_idp::{fault, openapi, profile};

use cli::{Command, CommandLine, PORT};
use output::print;

/// Something is wrong with the command line or the configuration.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match &line.command {
        None => run::serve(&line.serve),
        Some(Command::Check) => run::check(&line.serve),
        Some(Command::Healthcheck { url }) => health::check(url.as_deref(), line.serve.port.unwrap_or(PORT)),
        Some(Command::Faults { markdown: true }) => print(&fault::catalogue::as_markdown()),
        Some(Command::Faults { markdown: false }) => print(&faults()),
        Some(Command::Profiles { markdown: true }) => print(&profile::as_markdown()),
        Some(Command::Profiles { markdown: false }) => print(&profiles()),
        Some(Command::Openapi) => print(&format!("{:#}\n", openapi::document())),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(run::Failure { message, usage }) => {
            output::say(&message);
            ExitCode::from(if usage { USAGE } else { 1 })
        }
    }
}

fn faults() -> String {
    let line = |e: &&fault::catalogue::Entry| format!("{}  {:<24} {}\n", e.number, e.name, e.effect);
    let all: String = fault::catalogue::ALL.iter().map(line).collect();
    format!(
        "{all}\nSet one: curl http://localhost:8080/_mock/faults -d '{{\"fault\": \"NAME\"}}'; examples: mock-idp faults --markdown\n"
    )
}

fn profiles() -> String {
    let mut text = String::new();
    for name in profile::names() {
        let Ok(profile) = profile::find(name) else { continue };
        text += &format!(
            "{name}: {} (an issuer: http://localhost:8080{})\n",
            profile.title, profile.example_issuer
        );
        for (quirk, of) in &profile.quirk {
            text += &format!("    {quirk:<32} {}\n", of.says);
        }
    }
    text
}
