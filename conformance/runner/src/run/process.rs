//! A subject's process, in a group of its own, which is ended.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use scenario_model::event::{Fact, SubjectExit, SubjectLeftover};
use scenario_model::manifest::Manifest;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::recorder::Recorder;
use crate::render::CaFile;

/// Why a subject could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be executed.
    #[error("cannot start `{program}`: {source}{}", hint(.source, .program))]
    Spawn {
        /// The program as it was looked for.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// No place for its sockets.
    #[error("cannot make a folder for the plugin's sockets: {0}")]
    Folder(std::io::Error),
}

/// Linux and macOS: the file is no program for this machine.
const ENOEXEC: i32 = 8;

fn hint(error: &std::io::Error, program: &str) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound if program.contains('/') => {
            "; there is no such file: was the subject's set-up script run?".to_owned()
        }
        std::io::ErrorKind::NotFound => "; it is not on PATH".to_owned(),
        std::io::ErrorKind::PermissionDenied => format!("; try `chmod +x {program}`"),
        _ if error.raw_os_error() == Some(ENOEXEC) => {
            format!(
                "; it is for another platform: this is {}/{}",
                std::env::consts::OS,
                std::env::consts::ARCH
            )
        }
        _ => String::new(),
    }
}

/// What a process is started from.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment beside ours.
    pub env: Vec<(String, String)>,
    /// Environment of ours that it is not given.
    pub without: Vec<String>,
    /// Where it runs.
    pub folder: PathBuf,
}

impl Program {
    /// From a manifest: `{self}` is this program, `{ca.pem}` the CA's file, a path with a slash is relative to the folder.
    pub fn new(manifest: &Manifest, folder: &Path, ca: &CaFile, more_args: &[String]) -> Self {
        let own = std::env::current_exe().map_or_else(|_| "flightcheck".into(), |p| p.display().to_string());
        let fill = |text: &String| ca.fill(&text.replace("{self}", &own));
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let mut words: Vec<String> = manifest.command.iter().map(fill).collect();
        let mut program = if words.is_empty() { String::new() } else { words.remove(0) };
        if program.contains('/') && !Path::new(&program).is_absolute() {
            program = folder.join(&program).display().to_string();
        }
        words.extend_from_slice(more_args);
        let env = manifest.env.iter().chain(&manifest.trust.env).map(|(k, v)| (k.clone(), fill(v))).collect();
        Self { program, args: words, env, without: Vec::new(), folder }
    }

    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be executed.
    pub fn spawn(&self, stdin: Stdio) -> Result<(Process, Pipes), StartError> {
        let mut command = Command::new(&self.program);
        self.without.iter().for_each(|name| {
            command.env_remove(name);
        });
        let mut child = command
            .args(&self.args)
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.folder)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| StartError::Spawn { program: self.program.clone(), source })?;
        let group = child.id().and_then(|id| Pid::from_raw(id as i32));
        let pipes = Pipes {
            stdin: child.stdin.take(),
            stdout: child.stdout.take().expect("stdout is piped"),
            stderr: child.stderr.take().expect("stderr is piped"),
        };
        Ok((Process { child: Box::new(child), group }, pipes))
    }
}

/// Our ends of a process's streams.
#[derive(Debug)]
pub struct Pipes {
    /// If it was asked for.
    pub stdin: Option<ChildStdin>,
    /// Replies.
    pub stdout: ChildStdout,
    /// The log.
    pub stderr: ChildStderr,
}

/// A process with its group.
#[derive(Debug)]
pub struct Process {
    child: Box<Child>,
    group: Option<Pid>,
}

/// How a subject came to its end.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal.
    pub signal: Option<i32>,
    /// We had to end it.
    pub by_us: bool,
}

impl Ended {
    /// As a fact; `asked` if we had asked it to end, and it had not ended before.
    pub fn fact(self, asked: bool) -> SubjectExit {
        let asked = asked && !self.by_us;
        SubjectExit {
            code: self.code,
            signal: self.signal,
            asked,
            ended_by_us: self.by_us,
            clean: asked && self.code == Some(0),
        }
    }
}

impl Process {
    /// It has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Waits for its end, and ends it after `limit`.
    pub async fn end(&mut self, limit: Duration) -> Ended {
        let status = tokio::time::timeout(limit, self.child.wait()).await.ok().and_then(Result::ok);
        let by_us = status.is_none();
        let status = match status {
            Some(status) => Some(status),
            None => {
                self.kill();
                let killed = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
                killed.ok().and_then(Result::ok)
            }
        };
        let signal = status.and_then(|s| std::os::unix::process::ExitStatusExt::signal(&s));
        Ended { code: status.and_then(|s| s.code()), signal, by_us }
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process(group, Signal::TERM);
        }
    }

    /// Ends the whole group.
    pub fn kill(&self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// How many of the group live.
    pub fn living(&self) -> u32 {
        self.group.map_or(0, processes_of)
    }
}

/// Records an end and what was left over.
pub fn record_end(recorder: &Recorder, exit: SubjectExit, left_over: u32) {
    facts_of_end(exit, left_over).for_each(|fact| recorder.record(fact));
}

/// An end and what was left over, as facts.
pub fn facts_of_end(exit: SubjectExit, left_over: u32) -> impl Iterator<Item = Fact> {
    let left_over = (left_over > 0).then_some(SubjectLeftover { processes: left_over });
    std::iter::once(Fact::SubjectExit(exit)).chain(left_over.map(Fact::SubjectLeftover))
}

/// How many living processes a group has.
fn processes_of(group: Pid) -> u32 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 0 };
    let wanted = group.as_raw_nonzero().to_string();
    let stats = entries.flatten().filter_map(|e| std::fs::read_to_string(e.path().join("stat")).ok());
    let alive = stats.filter(|stat| {
        // After the name in brackets: state, parent, group.
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let state = fields.next();
        state != Some("Z") && state != Some("X") && fields.nth(1) == Some(&wanted)
    });
    alive.count() as u32
}
