//! A plugin as it was released: its zip, its folder or its executable; which file runs on this machine.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::plugin_zip::{self, UnpackError};

/// A plugin that can be started.
#[derive(Debug, Clone)]
pub struct PluginFiles {
    /// The id in its `plugin.json`, or the executable's name.
    pub id: String,
    /// The version in its `plugin.json`.
    pub version: Option<String>,
    /// What runs on this machine.
    pub executable: PathBuf,
    /// Where a zip was unpacked; removed with the last clone.
    _unpacked: Option<Arc<tempfile::TempDir>>,
}

/// Why nothing in a zip or folder can be started.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no zip, or a broken one.
    #[error("cannot unpack `{}`: {source}", .path.display())]
    Zip {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        source: UnpackError,
    },
    /// There is no `plugin.json` in it.
    #[error("`{}` holds no `plugin.json`: name the plugin's folder (often `dist`), its zip or its executable", .0.display())]
    NoPluginJson(PathBuf),
    /// Its `plugin.json` is not one.
    #[error("`{}` is not understood: {problem}", .path.display())]
    PluginJson {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It has no backend.
    #[error("plugin `{0}` has no backend: its `plugin.json` names no `executable`")]
    NoBackend(String),
    /// It was built for other machines only.
    #[error("plugin `{id}` has no executable for this platform: `{wanted}` is missing, there is {found}")]
    Platform {
        /// The plugin.
        id: String,
        /// What would run here.
        wanted: String,
        /// What there is instead.
        found: String,
    },
}

/// What we read of a `plugin.json`; it holds more.
#[derive(Debug, Deserialize)]
struct PluginJson {
    id: String,
    executable: Option<String>,
    #[serde(default)]
    info: Info,
}

#[derive(Debug, Default, Deserialize)]
struct Info {
    version: Option<String>,
}

/// How deep in a zip or folder its `plugin.json` may lie: `x.zip/plugin-id/plugin.json`, `repository/dist/plugin.json`.
const DEPTH: usize = 2;

impl PluginFiles {
    /// Whether a file is a plugin by itself: a zip, or a program.
    pub fn is_one(file: &Path) -> bool {
        let mut start = [0; 4];
        let read = std::fs::File::open(file).and_then(|mut f| f.read(&mut start)).unwrap_or(0);
        let start = &start[..read];
        let programs: [&[u8]; 6] =
            [b"\x7fELF", b"#!", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"PK\x03\x04"];
        programs.iter().any(|magic| start.starts_with(magic))
    }

    /// Finds the executable.
    ///
    /// # Errors
    /// If there is none for this machine.
    pub fn find(path: &Path) -> Result<Self, PluginError> {
        if path.is_dir() {
            return Self::in_folder(path);
        }
        if is_zip(path) {
            let folder = Arc::new(unpack(path)?);
            return Ok(Self { _unpacked: Some(folder.clone()), ..Self::in_folder(folder.path())? });
        }
        let described = path.with_file_name("plugin.json");
        let described = described.is_file().then(|| read_plugin_json(&described)).transpose()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (id, version) = described.map_or((name, None), |json| (json.id, json.info.version));
        Ok(Self { id, version, executable: absolute(path), _unpacked: None })
    }

    fn in_folder(folder: &Path) -> Result<Self, PluginError> {
        let file = plugin_json(folder, DEPTH).ok_or_else(|| PluginError::NoPluginJson(folder.to_owned()))?;
        let json = read_plugin_json(&file)?;
        let Some(executable) = json.executable else { return Err(PluginError::NoBackend(json.id)) };
        let wanted = format!("{executable}_{}", platform());
        let path = file.with_file_name("").join(&wanted);
        if !path.is_file() {
            let (id, found) = (json.id, siblings(&path, &executable));
            return Err(PluginError::Platform { id, wanted, found });
        }
        Ok(Self { id: json.id, version: json.info.version, executable: absolute(&path), _unpacked: None })
    }

    /// The text stands somewhere in the executable, for instance the name of a setting.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn holds(&self, texts: &[&str]) -> Result<Vec<bool>, PluginError> {
        let bytes = std::fs::read(&self.executable)
            .map_err(|source| PluginError::Read { path: self.executable.clone(), source })?;
        Ok(texts.iter().map(|text| memchr::memmem::find(&bytes, text.as_bytes()).is_some()).collect())
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `<os>_<arch>` as Go names them, with the ending of a program.
fn platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        arch => arch,
    };
    format!("{os}_{arch}{}", std::env::consts::EXE_SUFFIX)
}

fn siblings(wanted: &Path, executable: &str) -> String {
    let entries = wanted.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let names = entries.into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> =
        names.filter(|n| n.starts_with(&format!("{executable}_"))).map(|n| format!("`{n}`")).collect();
    names.sort();
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}

fn plugin_json(folder: &Path, depth: usize) -> Option<PathBuf> {
    let here = folder.join("plugin.json");
    if here.is_file() {
        return Some(here);
    }
    if depth == 0 {
        return None;
    }
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    folders.retain(|p| p.file_name().is_none_or(|name| name != "node_modules"));
    folders.sort();
    folders.iter().find_map(|inner| plugin_json(inner, depth - 1))
}

fn read_plugin_json(path: &Path) -> Result<PluginJson, PluginError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PluginError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text)
        .map_err(|e| PluginError::PluginJson { path: path.to_owned(), problem: e.to_string() })
}

fn is_zip(path: &Path) -> bool {
    let mut start = [0; 2];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && &start == b"PK"
}

fn unpack(path: &Path) -> Result<tempfile::TempDir, PluginError> {
    let unreadable = |source| PluginError::Read { path: path.to_owned(), source };
    let folder = tempfile::tempdir().map_err(unreadable)?;
    let bytes = std::fs::read(path).map_err(unreadable)?;
    plugin_zip::unpack(&bytes, folder.path())
        .map_err(|source| PluginError::Zip { path: path.to_owned(), source })?;
    Ok(folder)
}
