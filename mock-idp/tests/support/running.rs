//! The program, running.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

/// A running mock; it is ended with its owner.
pub struct Running {
    pub child: Child,
    /// Scheme, host and port.
    pub origin: String,
}

impl Running {
    /// Starts the program on a free port and waits until it says that it is ready.
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = command(environment);
        command.args(["--port", "0"]).args(arguments).stderr(Stdio::piped());
        Self::wait(command)
    }

    /// The same, but its log goes elsewhere.
    #[allow(dead_code, reason = "not every test binary that includes this file needs it")]
    pub fn start_with_stderr(arguments: &[&str], stderr: Stdio) -> Self {
        let mut command = command(&[]);
        command.args(["--port", "0"]).args(arguments).stderr(stderr);
        Self::wait(command)
    }

    fn wait(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it has an output")).lines();
        let line = lines.find_map(|l| l.ok().filter(|l| l.contains("an issuer")));
        let Some(line) = line else {
            let mut said = String::new();
            let _ = child.stderr.take().map(|mut e| e.read_to_string(&mut said));
            panic!("it did not get ready: {said}");
        };
        let url = line.split_whitespace().find(|w| w.contains("://")).expect("it says where it is");
        let origin = url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        // The log is read, so that the pipe does not fill up.
        if let Some(mut log) = child.stderr.take() {
            std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        }
        Self { child, origin }
    }

    /// Its port.
    #[allow(dead_code, reason = "not every test binary that includes this file needs it")]
    pub fn port(&self) -> &str {
        self.origin.rsplit(':').next().unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program in an environment of its own.
pub fn command(environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-idp"));
    command.env_clear().envs(environment.iter().copied());
    command
}

/// Runs the program to its end.
#[allow(dead_code, reason = "not every test binary that includes this file runs it to its end")]
pub fn ended(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(environment).args(arguments).output().expect("the program starts")
}
