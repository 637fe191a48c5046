//! What a panic said.

use std::any::Any;

/// The message of a panic; empty where its payload is no text.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map_or_else(|| payload.downcast_ref::<&str>().copied().unwrap_or_default(), String::as_str)
}
