//! Any bytes as the name of a step: no panic, and what is read can be written again.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = tracegate::trace::doors::annotation(data);
});
