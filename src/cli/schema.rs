//! `tracegate schema`: what editors and validators need to know of procedure files.

use super::exit::Exit;

/// Held to the types that read the files by a test in `procedure/schema.rs`.
const SCHEMA: &str = include_str!("../../procedures/schema.json");

pub(super) fn schema() -> Exit {
    crate::output::text(SCHEMA);
    Exit::Pass
}
