//! The reference client as a program: the stdio protocol on stdin and stdout, the log on stderr.

use std::process::ExitCode;

fn main() -> ExitCode {
    reference_client::main_stdio(std::env::args().skip(1))
}
