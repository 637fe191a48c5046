//! Any bytes as a trace, in any division into blocks: no panic, and the blocks change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&chunk, bytes)) = data.split_first() else { return };
    let whole = tracegate::trace::doors::read(bytes, usize::MAX);
    let parts = tracegate::trace::doors::read(bytes, usize::from(chunk) + 1);
    assert_eq!(whole, parts);
});
