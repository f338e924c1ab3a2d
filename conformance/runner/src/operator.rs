//! What the operator must put right: command line, files, the subject's manifest. Exit code 2.

use std::path::PathBuf;

use scenario_model::bundle::BundleError;
use scenario_model::diagnostic::FileErrors;

use crate::plugin_files::PluginError;
use crate::run::process::StartError;

/// Why nothing was run or judged.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Mistakes in files.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").trim_end())]
    Files(Vec<FileErrors>),
    /// A file or folder could not be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is neither JSON nor YAML.
    #[error("`{}` is not understood: {problem}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file could not be written.
    #[error("cannot write `{}`: {source}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no such subject.
    #[error(
        "no subject `{name}`: expected a `subject.toml`, a Grafana plugin (zip, folder or executable), a folder that holds one, `reference` or `reference-server`"
    )]
    NoSubject {
        /// What was asked for.
        name: String,
    },
    /// A plugin that cannot be started on this machine.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// A folder without scenarios.
    #[error("`{}` holds no scenario: expected `<family>/<name>.toml`", .folder.display())]
    NoScenarios {
        /// Which.
        folder: PathBuf,
    },
    /// Two scenarios with one id.
    #[error("two scenarios are named `{id}`: give yours another path")]
    DoubleScenario {
        /// The id.
        id: String,
    },
    /// A pattern that cannot be read, or a wrong shard.
    #[error("{0}")]
    Selection(String),
    /// A pattern that matches nothing.
    #[error("{option} `{pattern}` matches no scenario{help}")]
    NoMatch {
        /// `--run` or `--skip`.
        option: &'static str,
        /// The pattern.
        pattern: String,
        /// The nearest, if one is near.
        help: String,
    },
    /// A file that would be overwritten.
    #[error("`{}` is there already: remove it, or go to another folder", .0.display())]
    Exists(PathBuf),
    /// The selection as a whole leaves nothing that applies.
    #[error("nothing to run: {0}")]
    Nothing(String),
    /// The subject could not be started.
    #[error("subject `{name}`: {source}")]
    Start {
        /// The subject.
        name: String,
        /// Why.
        source: StartError,
    },
    /// The subject was started and does not speak the protocol.
    #[error("subject `{name}` does not answer `hello`: {problem}")]
    Hello {
        /// The subject.
        name: String,
        /// What happened instead.
        problem: String,
    },
    /// The plugin was started and Grafana could not work with it.
    #[error("plugin `{name}` does not get ready: {problem}")]
    NotReady {
        /// The plugin.
        name: String,
        /// What happened instead.
        problem: String,
    },
    /// A server under test was started and cannot be called.
    #[error("server `{name}` does not come up: {problem}")]
    NotUp {
        /// The server.
        name: String,
        /// What happened instead.
        problem: String,
    },
    /// There is no such scenario, check, requirement, defect or variant.
    #[error("unknown {what} `{name}`: {help}")]
    Unknown {
        /// What kind of thing.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest, or all.
        help: String,
    },
    /// No bundle.
    #[error("{0}")]
    Bundle(#[from] BundleError),
    /// The user stopped it before the first permutation.
    #[error("interrupted before anything was run")]
    Interrupted,
    /// Something of ours did not start.
    #[error("{0}")]
    Ours(String),
}

impl OperatorError {
    /// 2, or 3 if it is our own trouble.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ours(_) | Self::Interrupted => 3,
            _ => 2,
        }
    }
}
