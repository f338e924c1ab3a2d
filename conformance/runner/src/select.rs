//! From options to a choice of scenarios; a pattern that matches nothing is an error.

use std::collections::BTreeSet;

use scenario_model::catalogue::Catalogue;
use scenario_model::diagnostic::did_you_mean;
use scenario_model::manifest::Manifest;
use scenario_model::plan::{Choice, Pattern, Permutation, kinds_of, plan};

use crate::cli::SelectionArgs;
use crate::operator::OperatorError;

/// What the options select.
///
/// # Errors
/// A pattern that cannot be read or matches nothing, a shard that is none, a selection without permutations.
pub fn select(
    args: &SelectionArgs,
    catalogue: &Catalogue,
    manifest: &Manifest,
) -> Result<(Vec<Permutation>, String), OperatorError> {
    let parse = |list: &[String]| {
        list.iter()
            .map(|text| Pattern::parse(text))
            .collect::<Result<Vec<_>, _>>()
            .map_err(OperatorError::Selection)
    };
    let choice = Choice {
        profiles: args.profile.clone(),
        run: parse(&args.run)?,
        skip: parse(&args.skip)?,
        provider: args.provider,
        shard: args.shard.as_deref().map(shard).transpose()?,
    };
    let mut wanted = BTreeSet::new();
    for (option, patterns) in [("--run", &choice.run), ("--skip", &choice.skip)] {
        for pattern in patterns {
            let kinds = kinds_of(&catalogue.scenarios, pattern);
            if kinds.is_empty() {
                return Err(no_match(option, pattern, catalogue));
            }
            wanted.extend(kinds.into_iter().filter(|_| option == "--run"));
        }
    }
    let permutations = plan(&catalogue.scenarios, manifest, &choice);
    if permutations.is_empty() && !wanted.is_empty() && !wanted.contains(&manifest.kind()) {
        let (one, others) = (manifest.kind().as_str(), wanted.iter().map(|kind| kind.as_str()));
        let others = others.map(|other| format!("{other}s")).collect::<Vec<_>>().join(" and ");
        return Err(OperatorError::Nothing(format!(
            "the options select scenarios for {others}, and the subject is of another kind: {one}"
        )));
    }
    if permutations.is_empty() {
        return Err(OperatorError::Nothing("the options together select no permutation".to_owned()));
    }
    Ok((permutations, in_words(args)))
}

fn no_match(option: &'static str, pattern: &Pattern, catalogue: &Catalogue) -> OperatorError {
    let scenario = pattern.as_str().split('[').next().unwrap_or_default();
    let ids: Vec<&str> = catalogue.scenarios.iter().map(|s| s.id.as_str()).collect();
    let help = match did_you_mean(scenario, ids.iter().copied()) {
        Some(near) if near != scenario => format!("; did you mean `{near}`?"),
        Some(_) => "; the scenario is there, but not with these values of its matrix".to_owned(),
        None => "; see `flightcheck list`".to_owned(),
    };
    OperatorError::NoMatch { option, pattern: pattern.as_str().to_owned(), help }
}

/// `I/N`.
///
/// # Errors
/// A text that is no part.
pub fn shard(text: &str) -> Result<(usize, usize), OperatorError> {
    let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    numbers.filter(|(index, count)| (1..=*count).contains(index)).ok_or_else(|| {
        OperatorError::Selection(format!("`--shard {text}` is no part: expected for instance `1/3`"))
    })
}

fn in_words(args: &SelectionArgs) -> String {
    let mut parts = Vec::new();
    if !args.profile.is_empty() {
        let names: Vec<String> = args
            .profile
            .iter()
            .filter_map(|p| serde_json::to_value(p).ok().and_then(|v| v.as_str().map(str::to_owned)))
            .collect();
        parts.push(format!("profile {}", names.join(", ")));
    }
    for (word, list) in [("run", &args.run), ("skip", &args.skip)] {
        if !list.is_empty() {
            parts.push(format!("{word} {}", list.join(", ")));
        }
    }
    if let Some(provider) = args.provider {
        parts.push(format!("issuers like {}", provider.as_str()));
    }
    if parts.is_empty() { "everything".to_owned() } else { parts.join("; ") }
}
