//! A part of the proof that takes minutes.

use sha2::{Digest as _, Sha256};

use super::differences::scenario_of;
use super::matrix::{MATRIX, Matrix};
use super::who::Who;

/// The only family of HTTP clients: so small that a part of it may show nobody who breaks one of their rules.
const OF_HTTP_CLIENTS: (&str, &str) = ("rules#exporter-", "http-resource/");

/// What is run of a defect when not everything is: each scenario that the matrix says it does not pass, and one part of the
/// others, which the matrix itself chooses.
pub struct Sample {
    /// What is checked in.
    pub matrix: Matrix,
    /// Which part, from 0.
    pub part: u64,
    /// Of so many.
    pub of: u64,
}

impl Sample {
    /// The part that the matrix chooses, of so many.
    pub fn new(of: u16, matrix: Matrix) -> Self {
        Self { part: drawn(MATRIX) % u64::from(of), of: u64::from(of), matrix }
    }

    /// It is run.
    pub fn has(&self, who: Who, scenario: &str) -> bool {
        let listed = self.matrix.0.get(&who.name());
        let (rules, family) = OF_HTTP_CLIENTS;
        let shows = |check: &String| {
            scenario_of(check) == scenario || (check.starts_with(rules) && scenario.starts_with(family))
        };
        who.is_run_whole()
            || listed.is_some_and(|checks| checks.keys().any(shows))
            || drawn(&format!("{} {scenario}", who.name())) % self.of == self.part
    }
}

/// A number that looks drawn and is the same each time.
fn drawn(text: &str) -> u64 {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use reference_client::Defect;

    use super::super::matrix::checked_in;
    use super::*;
    use crate::embedded;

    #[test]
    fn the_parts_of_a_sample_are_the_whole_and_what_is_listed_is_in_each() {
        let matrix = checked_in().expect("it can be read");
        let who = Who::Defect(Defect::NeverRenews);
        let parts: Vec<Sample> = (0..4).map(|part| Sample { matrix: matrix.clone(), part, of: 4 }).collect();
        let catalogue = embedded::catalogue(None).expect("it can be read");
        for scenario in &catalogue.scenarios {
            let having = parts.iter().filter(|sample| sample.has(who, &scenario.id)).count();
            assert!(having == 1 || having == 4, "{}: {having} parts", scenario.id);
            assert!(parts.iter().all(|sample| sample.has(Who::Clean, &scenario.id)));
        }
        let breaks_a_rule = Who::Defect(Defect::TokenInLog);
        let of_http_clients: Vec<_> =
            catalogue.scenarios.iter().filter(|s| s.id.starts_with(OF_HTTP_CLIENTS.1)).collect();
        assert!(!of_http_clients.is_empty(), "the family is there");
        for scenario in of_http_clients {
            assert!(parts.iter().all(|sample| sample.has(breaks_a_rule, &scenario.id)), "{}", scenario.id);
        }
        let listed = "expiry/refresh-before-expiry";
        assert!(parts.iter().all(|sample| sample.has(who, listed)), "it fails there");
    }
}
