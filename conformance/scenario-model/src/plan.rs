//! Which permutations a run consists of.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::call::SubjectKind;
use crate::known_failures::glob;
use crate::load::{Combination, Loaded, matches};
use crate::manifest::Manifest;
use crate::provider::{Provider, like};
use crate::saved::ABSENT;
use crate::scenario::{Lane, Need, Op, Profile, Scenario, Surface};

/// What the user chose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// Only scenarios of these profiles; all if empty.
    pub profiles: Vec<Profile>,
    /// Only scenarios that match one of these; all if empty.
    pub run: Vec<Pattern>,
    /// None that match one of these.
    pub skip: Vec<Pattern>,
    /// Every issuer is like this provider, where the scenario lets it.
    pub provider: Option<Provider>,
    /// Part `index` (from 1) of `count`.
    pub shard: Option<(usize, usize)>,
}

/// `family/*` or `family/name[key=value,key=value]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    text: String,
    scenario: String,
    values: Vec<(String, String)>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scenario, values) = match text.strip_suffix(']').and_then(|t| t.split_once('[')) {
            Some((scenario, list)) => (scenario, list),
            None => (text, ""),
        };
        let values = values
            .split(',')
            .filter(|v| !v.is_empty())
            .map(|pair| pair.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| format!("`{text}` is not a pattern: expected `family/name[key=value]`"))?;
        glob(scenario)?;
        Ok(Self { text: text.to_owned(), scenario: scenario.to_owned(), values })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    #[expect(clippy::cmp_owned, reason = "a number of the matrix is compared with how it is written")]
    fn matches(&self, scenario: &str, values: &[(String, Value)]) -> bool {
        glob(&self.scenario).is_ok_and(|g| g.is_match(scenario))
            && self.values.iter().all(|(name, wanted)| {
                values
                    .iter()
                    .any(|(n, v)| n == name && (v.as_str() == Some(wanted) || v.to_string() == *wanted))
            })
    }
}

/// One permutation of a run.
#[derive(Debug, Clone)]
pub struct Permutation {
    /// `family/name[key=value]@surface`, the surface only if it is not `query`.
    pub id: String,
    /// `family/name`.
    pub scenario_id: String,
    /// Name and value.
    pub values: Vec<(String, Value)>,
    /// Where `query` steps run.
    pub surface: Surface,
    /// The scenario with its checks.
    pub combination: Combination,
    /// Why it does not apply to the subject.
    pub not_applicable: Option<String>,
}

impl Permutation {
    /// The scenario with the matrix filled in.
    pub fn scenario(&self) -> &Arc<Scenario> {
        &self.combination.scenario
    }

    /// How it spends its time.
    pub fn lane(&self) -> Lane {
        self.combination.scenario.lane
    }
}

/// All permutations that the choice selects, applicable or not, in the order of the catalogue.
pub fn plan(catalogue: &[Loaded], manifest: &Manifest, choice: &Choice) -> Vec<Permutation> {
    let mut all = Vec::new();
    for loaded in catalogue {
        for combination in &loaded.combinations {
            let scenario = &combination.scenario;
            if scenario.subject != manifest.kind() {
                continue;
            }
            let in_profile =
                choice.profiles.is_empty() || scenario.profiles.iter().any(|p| choice.profiles.contains(p));
            let wanted = choice.run.is_empty()
                || choice.run.iter().any(|p| p.matches(&loaded.id, &combination.values));
            let skipped = choice.skip.iter().any(|p| p.matches(&loaded.id, &combination.values));
            if !in_profile || !wanted || skipped {
                continue;
            }
            let like = choice.provider.map(|provider| like(combination, provider));
            for surface in &scenario.surfaces {
                all.push(match &like {
                    None => permutation(loaded, combination, *surface, manifest),
                    Some(Ok(like)) => permutation(loaded, like, *surface, manifest),
                    Some(Err(why)) => Permutation {
                        not_applicable: Some(why.clone()),
                        ..permutation(loaded, combination, *surface, manifest)
                    },
                });
            }
        }
    }
    match choice.shard {
        Some((index, count)) => {
            all.into_iter().enumerate().filter(|(nth, _)| nth % count == index - 1).map(|(_, p)| p).collect()
        }
        None => all,
    }
}

/// The kinds of subject for which there are scenarios that a pattern matches.
pub fn kinds_of(catalogue: &[Loaded], pattern: &Pattern) -> BTreeSet<SubjectKind> {
    let combinations =
        catalogue.iter().flat_map(|loaded| loaded.combinations.iter().map(move |c| (loaded, c)));
    combinations
        .filter(|(loaded, combination)| pattern.matches(&loaded.id, &combination.values))
        .map(|(_, combination)| combination.scenario.subject)
        .collect()
}

fn permutation(
    loaded: &Loaded,
    combination: &Combination,
    surface: Surface,
    manifest: &Manifest,
) -> Permutation {
    Permutation {
        id: permutation_id(&loaded.id, &combination.values, surface),
        scenario_id: loaded.id.clone(),
        values: combination.values.clone(),
        surface,
        combination: combination.clone(),
        not_applicable: not_applicable(combination, surface, manifest),
    }
}

/// The name of a permutation in reports.
pub fn permutation_id(scenario: &str, values: &[(String, Value)], surface: Surface) -> String {
    let mut id = scenario.to_owned();
    if !values.is_empty() {
        let values: Vec<String> = values
            .iter()
            .map(|(name, value)| {
                format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            })
            .collect();
        id.push_str(&format!("[{}]", values.join(",")));
    }
    if surface != Surface::Query {
        id.push_str(&format!("@{}", surface.as_str()));
    }
    id
}

fn not_applicable(combination: &Combination, surface: Surface, manifest: &Manifest) -> Option<String> {
    if !manifest.has_surface(surface) {
        return Some(format!("the subject has no surface `{}`", surface.as_str()));
    }
    let asked = combination.scenario.step.iter().filter_map(|step| match step.op {
        Op::Health => Some(Surface::Health),
        Op::Tables => Some(Surface::Tables),
        Op::Query | Op::World | Op::Restart | Op::Call | Op::Export => None,
    });
    if let Some(lacking) = asked.into_iter().find(|surface| !manifest.has_surface(*surface)) {
        return Some(format!("the subject has no surface `{}`", lacking.as_str()));
    }
    if let Some(missing) = needs(combination).into_iter().find(|need| !manifest.has(*need)) {
        return Some(format!("the subject does not declare `{}`", word(missing)));
    }
    let settings = combination.scenario.session.iter().flat_map(|s| &s.settings);
    let missing = settings
        .filter(|setting| setting.value != ABSENT)
        .find(|setting| !manifest.options.contains_key(&setting.key))?;
    Some(format!("the subject has no option `{}`", missing.key))
}

fn needs(combination: &Combination) -> Vec<Need> {
    let scenario = &combination.scenario;
    let mut needs = scenario.needs.clone();
    for rule in &scenario.needs_if {
        if matches(&combination.values, rule.when.iter().map(|(k, v)| (k.as_str(), v))) {
            needs.extend(&rule.needs);
        }
    }
    let a_is_written = scenario.session.iter().any(|s| s.id == "a");
    if !a_is_written && scenario.step.iter().any(|s| s.session == "a" && s.op.is_call()) {
        needs.push(Need::Oauth);
    }
    for session in &scenario.session {
        needs.push(session.auth.into());
        needs.extend(session.also.iter().map(|auth| Need::from(*auth)));
        let oauth = session.oauth.at(&scenario.world.issuer);
        needs.extend(oauth.scope.as_ref().map(|_| Need::Scope));
        needs.extend(oauth.audience.as_ref().map(|_| Need::Audience));
        needs.extend(session.attribution.filter(|on| !on).map(|_| Need::AttributionSwitch));
        needs.extend(session.saved.as_ref().map(|_| Need::SavedSettings));
        needs.extend(session.headers.first().map(|_| Need::Headers));
    }
    if scenario.world.server.plaintext {
        needs.push(Need::Plaintext);
    }
    if scenario.step.iter().any(|s| s.query_field.is_some() || s.request.is_some()) {
        needs.push(Need::Plugin);
    }
    if scenario.step.iter().any(|s| s.user.is_some()) {
        needs.push(Need::Users);
    }
    if scenario.step.iter().any(|s| s.deadline.is_some()) {
        needs.push(Need::Deadlines);
    }
    needs
}

fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
