//! Certifies how a Flight SQL client authenticates.
//!
//! The command line and everything that does I/O. What is decided is decided in `scenario-model`: this crate reads files,
//! starts worlds and subjects, records, writes reports, and turns the verdict into an exit code.

pub mod canary;
pub mod certificate;
pub mod certify;
pub mod cli;
pub mod defects;
pub mod embedded;
pub mod explain;
pub mod greet;
pub mod hint;
pub mod init;
pub mod interrupt;
pub mod lint_settings;
pub mod marker;
pub mod necessity;
pub mod operator;
pub mod output;
pub mod plugin_files;
pub mod plugin_manifest;
pub mod plugin_zip;
pub mod progress;
pub mod recorder;
pub mod reference_server;
pub mod rejudge;
pub mod render;
pub mod requirements;
pub mod run;
pub mod select;
pub mod selftest;
pub mod server_defects;
pub mod settings_lint;
pub mod smoke;
pub mod target;
pub mod text;
