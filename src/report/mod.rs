//! Results for people: text tables and Markdown. Decides nothing.

mod markdown;
pub(crate) mod nights;
pub(crate) mod table;

pub(crate) use markdown::inspect_markdown;
