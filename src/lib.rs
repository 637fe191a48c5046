//! tracegate
mod time;
pub mod trace;
pub use time::Nanos;
