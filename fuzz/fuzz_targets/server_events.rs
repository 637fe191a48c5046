//! Any bytes behind the beginning of an array that is never closed, as the Gaudi plugin writes it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = br#"[{"pid":1,"tid":3,"ph":"X","name":"decode","ts":1.5,"dur":2,"args":null},"#.to_vec();
    bytes.extend_from_slice(data);
    let facts = tracegate::trace::doors::read(&bytes, 64);
    assert!(facts.events >= 1);
});
