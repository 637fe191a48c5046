//! Speaks to a server over HTTP: the profiling window, completions, and the ledger of what was seen.

pub(crate) mod bench;
mod completion;
mod error;
mod http;
mod ledger;
pub(crate) mod real;
mod status;
mod usage;
mod window;

pub use error::ClientError;
pub(crate) use http::Client;
pub use ledger::{Ledger, Served};
