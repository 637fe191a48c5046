//! Behaviour through the binary and the public API, in one program: each test binary more is linked on its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod bench;
mod common;
mod contributing;
mod custom_checks;
mod dialects;
mod gaudi;
mod genuine;
mod groups;
mod history;
mod hostile;
mod inspect;
mod matrix;
mod month;
mod nightly_rule;
mod open;
mod plan;
mod procedure;
mod reach;
mod reader_properties;
mod report;
mod review_page;
mod rooms;
mod run;
mod schema;
mod silence;
mod simulation;
mod snapshot;
mod supply;
mod terminal;
mod workflows;
