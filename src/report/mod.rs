//! Results for people: text tables, Markdown, the page, and what continuous integration shows. Decides nothing.

pub(crate) mod annotations;
mod counts;
mod grid;
mod headline;
pub(crate) mod junit;
pub(crate) mod nights;

pub(crate) mod page;
mod page_data;
pub(crate) mod perfetto;
pub(crate) mod spread;
pub(crate) mod summary;
pub(crate) mod table;
mod traces;

pub(crate) use traces::markdown as inspect_markdown;
