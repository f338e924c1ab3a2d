//! Documents that are made from the code are as they are checked in. `UPDATE_DOCS=1` writes them.

use std::path::PathBuf;

fn check(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == made, "docs/{name} is old: UPDATE_DOCS=1 cargo test -p mock-idp documents");
}

#[test]
fn the_openapi_document_is_checked_in() {
    check("openapi.json", &format!("{:#}\n", mock_idp::openapi::document()));
}

#[test]
fn the_catalogue_of_faults_is_checked_in() {
    check("faults.md", &mock_idp::fault::catalogue::as_markdown());
}

#[test]
fn the_profiles_are_checked_in() {
    check("profiles.md", &mock_idp::profile::as_markdown());
}

#[test]
fn the_example_configuration_is_right() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/example.toml");
    let file = mock_idp::file::File::read(&path).unwrap();
    let (home, issuers) = file.resolve(&mock_idp::file::base()).unwrap();
    assert_eq!((home.faults.len(), issuers["/other"].token.alg), (1, mock_idp::Alg::Es256));
}
