//! The program as its users meet it: a process with arguments, files, exit codes and text.

mod certify;
mod interrupt;
mod mistakes;
mod plugins;
mod subjects;
mod whole;

use std::path::Path;

use assert_cmd::Command;

/// `flightcheck` with these arguments, in an empty folder or one that the test has filled.
fn flightcheck(folder: &Path, args: &[&str]) -> Answer {
    let mut command = Command::cargo_bin("flightcheck").expect("the program was built");
    let output = command.current_dir(folder).env("NO_COLOR", "1").args(args).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Answer {
        code: output.status.code().expect("it is not ended by a signal"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

/// What a process came to.
#[derive(Debug)]
struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Answer {
    /// The exit code, and parts that stdout or stderr must have.
    #[track_caller]
    fn must_say(&self, code: i32, parts: &[&str]) {
        for part in parts {
            let said = self.out.contains(part) || self.err.contains(part);
            assert!(said, "`{part}` is not in:\n{}\n{}", self.out, self.err);
        }
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        for never in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.err.contains(never), "{}", self.err);
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
    std::fs::write(path, text).expect("it can be written");
}

/// One scenario that any subject with a token option can be asked for.
const ONE: [&str; 2] = ["--run", "backward-compatibility/static-token[oauth_left_over=[]]"];
