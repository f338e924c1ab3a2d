//! The program around the client: arguments, standard streams, and the ways in which the process ends.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;

use crate::{Behaviour, Defect, End, Variant, plugin, serve};

/// A Flight SQL client that speaks the stdio protocol, correct unless told otherwise.
#[derive(Parser)]
#[command(name = "reference-client", no_binary_name = true, version)]
struct Arguments {
    /// Misbehave in this way
    #[arg(long, value_name = "NAME")]
    defect: Option<Defect>,
    /// Be unusual in this way, yet correct
    #[arg(long, value_name = "NAME")]
    variant: Option<Variant>,
    /// List defects and variants, then exit
    #[arg(long)]
    list: bool,
}

/// Runs the client on the process's own standard streams until stdin ends, or as a plugin until its host says so.
///
/// `args` are those after the program's or the subcommand's name. Exit status: 0 when the input ended, 2 for wrong arguments;
/// a defect may end the process in other ways.
pub fn main_stdio(args: impl IntoIterator<Item = String>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(args) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody can be told when even the error cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if arguments.list {
        return list();
    }
    let behaviour = Behaviour { defect: arguments.defect, variant: arguments.variant };
    if behaviour.has(Defect::Orphan) {
        leave_orphan();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "cannot start the runtime: {error}");
            return ExitCode::from(3);
        }
    };
    let end = match host() {
        Some(host) => {
            let served = plugin::serve(host, tokio::io::stdout(), tokio::io::stderr(), behaviour);
            match runtime.block_on(served) {
                Ok(end) => end,
                Err(error) => {
                    let _ = writeln!(std::io::stderr(), "cannot serve as a plugin: {error}");
                    return ExitCode::from(3);
                }
            }
        }
        None => {
            runtime.block_on(serve(tokio::io::stdin(), tokio::io::stdout(), tokio::io::stderr(), behaviour))
        }
    };
    // A read of stdin may still block a thread; the process does not wait for it.
    runtime.shutdown_background();
    finish(end)
}

/// Who has started us, if it is a host of plugins: it says so by the magic cookie.
fn host() -> Option<plugin::Host> {
    let (name, value) = plugin_protocol::MAGIC_COOKIE;
    std::env::var(name).ok().filter(|found| found == value)?;
    Some(plugin::Host {
        socket_folder: std::env::var_os("PLUGIN_UNIX_SOCKET_DIR").filter(|f| !f.is_empty()).map(Into::into),
        ca: std::env::var("SSL_CERT_FILE").ok(),
    })
}

fn list() -> ExitCode {
    let defects = Defect::ALL.iter().map(|defect| ("--defect", defect.name(), defect.describe()));
    let variants = Variant::ALL.iter().map(|variant| ("--variant", variant.name(), variant.describe()));
    let mut out = std::io::stdout().lock();
    for (option, name, text) in defects.chain(variants) {
        // A reader that has seen enough closes the pipe: no error.
        if writeln!(out, "{option:<9} {name:<30} {text}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

/// Ends the process as the client decided.
fn finish(end: End) -> ExitCode {
    match end {
        End::Finished | End::ExitedEarly => ExitCode::SUCCESS,
        End::Failed => ExitCode::FAILURE,
        End::Aborted => std::process::abort(),
        End::Lingers => loop {
            std::thread::sleep(Duration::from_secs(3600));
        },
        // The standard library's handler swallows the first signal and restores the default.
        End::Segfaulted => loop {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::SEGV);
        },
    }
}

fn leave_orphan() {
    let child = Command::new("sleep")
        .arg("300")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = child {
        let _ = writeln!(std::io::stderr(), "the orphan defect needs `sleep`: {error}");
    }
}
