//! The proof that the suite can fail: every defect against every check that it must fail, exactly as the matrix has it, and
//! an eighth of those that it must pass; `flightcheck selftest` without `--sample` has them all. In a test program of its own,
//! because what stands at moments in time wants the machine for itself.

#[test]
fn the_matrix_of_defects_and_checks_is_exactly_the_one_that_is_checked_in() {
    let mut command = assert_cmd::Command::cargo_bin("flightcheck").expect("the program was built");
    let output = command.args(["selftest", "--sample", "8"]).env("NO_COLOR", "1").output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("the suite can fail, and does where it must: 0 problems"), "{text}");
    assert_eq!(output.status.code(), Some(0), "{text}");
}
