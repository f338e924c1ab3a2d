use std::path::Path;

use scenario_model::catalogue::{Catalogue, Source};

fn sources(folder: &Path, root: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            sources(&path, root, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            let relative = path.strip_prefix(root).expect("below the root").with_extension("");
            let id = relative.to_str().expect("UTF-8").to_owned();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            found.push(Source { file: format!("scenarios/{id}.toml"), id, text });
        }
    }
}

/// The catalogue in `scenarios/`.
pub fn shipped() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut all = Vec::new();
    sources(&root, &root, &mut all);
    let mut take = |id: &str| {
        let at = all.iter().position(|s| s.id == id).unwrap_or_else(|| panic!("{id} is there"));
        all.remove(at)
    };
    let (rules, requirements) = (take("rules"), take("requirements/2026.1"));
    match Catalogue::load(&all, &rules, &requirements) {
        Ok(catalogue) => catalogue,
        Err(errors) => panic!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

#[test]
fn every_shipped_scenario_is_read_without_a_mistake() {
    let catalogue = shipped();
    let permutations: usize = catalogue.scenarios.iter().map(|s| s.combinations.len()).sum();
    assert!(catalogue.scenarios.len() >= 40, "{} scenarios", catalogue.scenarios.len());
    assert!(permutations >= 100, "{permutations} permutations");
}

#[test]
fn every_requirement_is_covered_by_a_check_or_excluded_with_a_reason() {
    let catalogue = shipped();
    let uncovered: Vec<&str> =
        catalogue.requirements.uncovered(&catalogue.covered()).iter().map(|r| r.id.as_str()).collect();
    assert_eq!(uncovered, Vec::<&str>::new());
}
