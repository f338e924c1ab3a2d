//! The proof that the suite can fail: every defect against every check, exactly as the matrix has it.

use super::{flightcheck, folder};

#[test]
fn the_matrix_of_defects_and_checks_is_exactly_the_one_that_is_checked_in() {
    let folder = folder();
    flightcheck(folder.path(), &["selftest"])
        .must_say(0, &["the suite can fail, and does where it must: 0 problems"]);
}
