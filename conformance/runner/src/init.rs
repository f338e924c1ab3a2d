//! `init`: writes the manifest of a plugin after looking at it.

use std::path::Path;

use crate::cli::InitArgs;
use crate::operator::OperatorError;
use crate::output::{data, write};
use crate::plugin_files::PluginFiles;
use crate::plugin_manifest::{draft, read};

const FILE: &str = "subject.toml";

/// Writes `subject.toml` into the current folder, never over another.
///
/// # Errors
/// A plugin that cannot be started here, or a file that is there already.
pub fn init(args: &InitArgs) -> Result<(), OperatorError> {
    let plugin = PluginFiles::find(Path::new(&args.plugin))?;
    let command = if args.plugin.contains('/') { args.plugin.clone() } else { format!("./{}", args.plugin) };
    let draft = draft(&plugin, &command)?;
    let manifest = read(&draft).map_err(|e| OperatorError::Files(vec![e]))?;
    let path = Path::new(FILE);
    if path.exists() {
        return Err(OperatorError::Exists(path.to_owned()));
    }
    write(path, &draft.text)?;
    data(&format!(
        "wrote {FILE}: plugin `{}`{}\n",
        manifest.name,
        plugin.version.map_or_else(String::new, |version| format!(", version {version}"))
    ));
    for name in &draft.left_out {
        data(&format!("  the plugin does not hold `{name}`: that option is left out\n"));
    }
    data("check the names of its settings, then: flightcheck smoke .; flightcheck run .\n");
    Ok(())
}
