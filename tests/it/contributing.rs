//! CONTRIBUTING.md sends people to files that exist.

use crate::common::root;

/// Placeholders stand for a name that the reader chooses.
const CHOSEN: [&str; 2] = ["NAME", "LANE"];

#[test]
fn every_file_that_is_named_exists() {
    let page = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let links = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let mut seen = 0;
    for path in quoted.chain(links).filter(|text| text.contains('/') && !text.contains([' ', ':'])) {
        if !CHOSEN.iter().any(|name| path.contains(name)) {
            assert!(root().join(path).exists(), "{path}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
