//! Any text as a procedure file: accepted, or refused at a place inside the text.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tracegate::procedure::{Procedure, ProcedureError};

fuzz_target!(|text: &str| {
    if let Err(ProcedureError::Invalid(located)) = Procedure::parse(Path::new("p.toml"), text) {
        assert!(located.line <= text.lines().count() + 1);
    }
});
