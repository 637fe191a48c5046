//! Launches: which call of the runtime made the device run something, by the number that both carry.

use std::collections::HashMap;

use memchr::memmem;

use super::scan::RawEvent;
use crate::time::Nanos;

/// Categories of calls that launch, in lower case: upstream's, and those of other devices' backends.
const RUNTIMES: [&str; 5] = ["cuda_runtime", "cuda_driver", "runtime", "privateuse1_runtime", "xpu_runtime"];

/// True for a category of calls that launch, whatever the case of its letters.
pub(crate) fn is_runtime(category: &str) -> bool {
    RUNTIMES.iter().any(|known| known.eq_ignore_ascii_case(category))
}

/// When each call of the runtime began, by its correlation. Memory grows with calls, some 16 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Launches(HashMap<u64, Nanos>);

impl Launches {
    /// Keeps a call of the host's runtime.
    pub(crate) fn call(&mut self, event: &RawEvent<'_>, start: Nanos) {
        if let Some(number) = correlation(event) {
            self.0.insert(number, start);
        }
    }

    pub(crate) fn begun(&self, number: u64) -> Option<Nanos> {
        self.0.get(&number).copied()
    }
}

/// The number that joins a call and what it made the device run. Zero joins nothing.
pub(crate) fn correlation(event: &RawEvent<'_>) -> Option<u64> {
    const KEY: &[u8] = b"\"correlation\"";
    let at = memmem::find(event.args, KEY)?;
    let rest = event.args[at + KEY.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_whatever_stands_around_it() {
        let read = |args: &str| correlation(&RawEvent { args: args.as_bytes(), ..RawEvent::default() });
        assert_eq!(read(r#"{"External id": 7, "correlation": 12, "stream": 7}"#), Some(12));
        assert_eq!(read("{\"correlation\"\n :\t9}"), Some(9));
        for args in
            [r#"{"correlation": 0}"#, r#"{"correlation": -1}"#, r#"{"correlation": null}"#, "null", ""]
        {
            assert_eq!(read(args), None, "{args}");
        }
    }
}
