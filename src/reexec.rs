//! The variable by which a program that runs procedures starts itself: as the guard of a server, as the stand-in, or
//! as one of the stand-in's children.

/// Set for such processes; its value says which part they are. A word in the arguments would not do:
/// `cargo test -- standin` is a filter.
pub(crate) const REEXEC: &str = "TRACEGATE_REEXEC";
