//! From what the user typed to a subject: its manifest, its folder, its plugin.

use std::path::{Path, PathBuf};

use scenario_model::manifest::{Drive, Manifest};

use crate::operator::OperatorError;
use crate::output::talk;
use crate::plugin_files::PluginFiles;
use crate::plugin_manifest::{draft, read, reference_plugin};

const CLIENT: &str = include_str!("../../reference-client/subject.toml");

const SERVER: &str = include_str!("../../flightsql-server/subject.toml");

/// The reference client.
pub const REFERENCE: &str = "reference";

/// The reference server.
pub const REFERENCE_SERVER: &str = "reference-server";

const HTTP: &str = include_str!("../../reference-client/http.toml");

/// The reference client as one that sends data over HTTP.
pub const REFERENCE_HTTP: &str = "reference-http";

/// The reference client as a Grafana plugin.
const REFERENCE_PLUGIN: &str = "reference-plugin";

/// A subject that can be started.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the user typed.
    pub typed: String,
    /// Its manifest; the command of a plugin is its executable.
    pub manifest: Manifest,
    /// The manifest's folder.
    pub folder: PathBuf,
    /// What is known of a plugin.
    pub plugin: Option<PluginFiles>,
}

impl Target {
    /// Finds and reads the manifest; a plugin without one gets that of the Flight SQL data sources.
    ///
    /// # Errors
    /// No such subject, the mistakes of its manifest, or a plugin without an executable for this machine.
    pub fn find(name: &str) -> Result<Self, OperatorError> {
        let typed = name.to_owned();
        if name == REFERENCE {
            let manifest = Manifest::parse("conformance/reference-client/subject.toml", CLIENT)
                .map_err(|e| OperatorError::Files(vec![e]))?;
            return Ok(Self { typed, manifest, folder: PathBuf::from("."), plugin: None });
        }
        if name == REFERENCE_SERVER {
            let manifest = Manifest::parse("conformance/flightsql-server/subject.toml", SERVER)
                .map_err(|e| OperatorError::Files(vec![e]))?;
            return Ok(Self { typed, manifest, folder: PathBuf::from("."), plugin: None });
        }
        if name == REFERENCE_HTTP {
            let manifest = Manifest::parse("conformance/reference-client/http.toml", HTTP)
                .map_err(|e| OperatorError::Files(vec![e]))?;
            return Ok(Self { typed, manifest, folder: PathBuf::from("."), plugin: None });
        }
        if name == REFERENCE_PLUGIN {
            let manifest = reference_plugin().map_err(|e| OperatorError::Files(vec![e]))?;
            return Ok(Self { typed, manifest, folder: PathBuf::from("."), plugin: None });
        }
        let path = Path::new(name);
        let file = if path.is_dir() { path.join("subject.toml") } else { path.to_owned() };
        if path.is_dir() && !file.exists() || PluginFiles::is_one(path) {
            return Self::plugin_without_manifest(typed, path);
        }
        if !file.exists() {
            return Err(OperatorError::NoSubject { name: name.to_owned() });
        }
        let text = std::fs::read_to_string(&file)
            .map_err(|source| OperatorError::Read { path: file.clone(), source })?;
        let manifest =
            Manifest::parse(&file.display().to_string(), &text).map_err(|e| OperatorError::Files(vec![e]))?;
        let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        match manifest.drive {
            Drive::Stdio | Drive::Server => Ok(Self { typed, manifest, folder, plugin: None }),
            Drive::GrafanaPlugin => Self::plugin_with_manifest(typed, manifest, folder),
        }
    }

    /// It is the reference client, which takes `--defect` and `--variant`.
    pub fn is_reference(&self) -> bool {
        [REFERENCE, REFERENCE_PLUGIN, REFERENCE_HTTP].contains(&self.typed.as_str())
    }

    /// It is the reference server, which takes `--defect`.
    pub fn is_reference_server(&self) -> bool {
        self.typed == REFERENCE_SERVER
    }

    fn plugin_with_manifest(
        typed: String,
        mut manifest: Manifest,
        folder: PathBuf,
    ) -> Result<Self, OperatorError> {
        let named = folder.join(&manifest.command[0]);
        if !named.exists() {
            // A program on PATH, or one that is not there: starting it will tell.
            return Ok(Self { typed, manifest, folder, plugin: None });
        }
        let plugin = PluginFiles::find(&named)?;
        manifest.command[0] = plugin.executable.display().to_string();
        Ok(Self { typed, manifest, folder, plugin: Some(plugin) })
    }

    fn plugin_without_manifest(typed: String, path: &Path) -> Result<Self, OperatorError> {
        let plugin = PluginFiles::find(path).map_err(|error| match error {
            // Most likely no plugin was meant at all.
            crate::plugin_files::PluginError::NoPluginJson(_) => {
                OperatorError::NoSubject { name: typed.clone() }
            }
            other => OperatorError::Plugin(other),
        })?;
        let draft = draft(&plugin, &plugin.executable.display().to_string())?;
        let manifest = read(&draft).map_err(|e| OperatorError::Files(vec![e]))?;
        talk(&format!(
            "plugin `{}`: the settings of the Flight SQL data sources{}; `flightcheck init {typed}` writes them down",
            plugin.id,
            match draft.left_out.as_slice() {
                [] => String::new(),
                names => format!(" without {}, which it does not have", names.join(", ")),
            }
        ));
        Ok(Self { typed, manifest, folder: PathBuf::from("."), plugin: Some(plugin) })
    }
}
