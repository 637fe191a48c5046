//! The scanner: bytes in, events out. A pure state machine that knows no I/O, no gzip and no meaning;
//! `read` feeds it, `collect` gives its events a meaning.

mod event;
mod layout;
mod machine;
mod resync;
mod value;
mod word;

pub(crate) use event::RawEvent;
pub(crate) use machine::{Ending, Item, Scanner};
