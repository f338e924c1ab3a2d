//! The manifest of a plugin that brings none: the settings of the Flight SQL data sources, as far as the plugin has them.

use scenario_model::diagnostic::FileErrors;
use scenario_model::manifest::Manifest;

use crate::plugin_files::{PluginError, PluginFiles};

const TEMPLATE: &str = include_str!("../../../fixtures/grafana-plugin/subject.toml");

/// Settings and resources that not every plugin has: one that never heard of them does not hold their names.
const LATER: [&str; 8] = [
    "selectedAuthType",
    "oauthIssuer",
    "oauthClientId",
    "oauthClientSecret",
    "oauthAudience",
    "enableUserAttribution",
    "/columns",
    "/sql-info",
];

/// A manifest's text, and what was left out of it because the plugin does not hold the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// TOML.
    pub text: String,
    /// Names of settings.
    pub left_out: Vec<String>,
}

/// Writes the manifest of a plugin after looking at it; `command` is how the user names the plugin.
///
/// # Errors
/// If the executable cannot be read.
pub fn draft(plugin: &PluginFiles, command: &str) -> Result<Draft, PluginError> {
    let held = plugin.holds(&LATER)?;
    let missing: Vec<&str> =
        LATER.iter().zip(held).filter(|(_, held)| !held).map(|(name, _)| *name).collect();
    Ok(without(&missing, &plugin.id, command))
}

/// The manifest, read.
///
/// # Errors
/// A name that is no TOML string.
pub fn read(draft: &Draft) -> Result<Manifest, FileErrors> {
    Manifest::parse("the plugin's default manifest", &draft.text)
}

/// The manifest of the reference client as a plugin: it has all of these settings.
///
/// # Errors
/// None: the template is tested.
pub fn reference_plugin() -> Result<Manifest, FileErrors> {
    let mut manifest = read(&without(&[], "reference-plugin", "{self}"))?;
    manifest.command.push("reference-client".to_owned());
    Ok(manifest)
}

fn without(missing: &[&str], name: &str, command: &str) -> Draft {
    let is_missing = |line: &str| {
        missing.iter().any(|name| line.contains(&format!("Data.{name}\"")))
            || (line.starts_with("oauth ")
                && missing.iter().any(|name| name.starts_with("oauthC") || *name == "oauthIssuer"))
            || missing.iter().filter_map(|name| name.strip_prefix('/')).any(|name| line.starts_with(name))
            || (line.starts_with("users ") && missing.contains(&"enableUserAttribution"))
    };
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let lines = TEMPLATE.lines().map(|line| {
        let line = if is_missing(line) { format!("# not in this plugin: {line}") } else { line.to_owned() };
        line.replace("{plugin}", &quoted(name)).replace("{command}", &quoted(command)) + "\n"
    });
    Draft { text: lines.collect(), left_out: missing.iter().map(|name| (*name).to_owned()).collect() }
}

#[cfg(test)]
mod tests {
    use scenario_model::scenario::{Need, Surface};

    use super::*;

    #[test]
    fn the_whole_draft_declares_everything() {
        let manifest = read(&without(&[], "x", "./x.zip")).expect("a good manifest");
        assert_eq!((manifest.name.as_str(), manifest.command[0].as_str()), ("x", "./x.zip"));
        for need in [Need::Discovery, Need::Audience, Need::Basic, Need::Token, Need::Users, Need::Plaintext]
        {
            assert!(manifest.has(need), "{need:?}");
        }
        assert!(Surface::ALL.into_iter().all(|surface| manifest.has_surface(surface)));
    }

    #[test]
    fn an_older_plugin_has_no_oauth_and_no_attribution() {
        let manifest = read(&without(&LATER[1..], "x", "x")).expect("a good manifest");
        assert!(manifest.has(Need::Token) && manifest.has(Need::Basic));
        assert!(!manifest.has(Need::Oauth) && !manifest.has(Need::Users));
        assert!(manifest.has_surface(Surface::Tables));
        assert!(!manifest.has_surface(Surface::Columns) && !manifest.has_surface(Surface::SqlInfo));
    }

    #[test]
    fn a_name_with_quotes_stays_a_name() {
        let manifest = read(&without(&[], "a \"b\" \\c", "x")).expect("a good manifest");
        assert_eq!(manifest.name, "a \"b\" \\c");
    }
}
