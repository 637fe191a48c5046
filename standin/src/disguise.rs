//! The same server seen on another machine and at another commit: what no reviewed text may depend on.

use std::borrow::Cow;

use super::random::SplitMix;

/// How a trace is disguised; by default it is not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Disguise(Option<u64>);

/// Lines that a commit moves a function by, at most.
const LINES: i64 = 400;

impl Disguise {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self(seed)
    }

    fn random(self, salt: u64) -> Option<u64> {
        Some(SplitMix::new(self.0? ^ salt.wrapping_mul(0x9e37_79b9)).next())
    }

    pub(crate) fn pid(self, pid: u32) -> u32 {
        self.random(1).map_or(pid, |random| 2 + (random % 4_000_000) as u32 + pid % 97)
    }

    pub(crate) fn host(self) -> String {
        self.random(2).map_or_else(|| "standin".to_owned(), |random| format!("runner-{:x}", random % 0xffff))
    }

    /// The name of a thread that Kineto calls `thread PID (PROCESS)`.
    pub(crate) fn thread(self, name: String) -> String {
        self.random(3).map_or(name, |random| format!("pool-{}-worker-{}", random % 9, random % 77))
    }

    /// A frame at another line, an object at another address.
    pub(crate) fn frame(self, name: &str) -> Cow<'_, str> {
        let Some(random) = self.random(4) else { return Cow::Borrowed(name) };
        if let Some((file, rest)) = name.split_once(".py(")
            && let Some((line, function)) = rest.split_once(')')
            && let Ok(line) = line.parse::<i64>()
        {
            let line = (line + (random % (2 * LINES as u64)) as i64 - LINES).max(1);
            return Cow::Owned(format!("{file}.py({line}){function}"));
        }
        match name.split_once("0x") {
            Some((before, _)) => Cow::Owned(format!("{before}{:#x}>", random >> 16)),
            None => Cow::Borrowed(name),
        }
    }

    /// A compiled graph with the hash that it has in another cache.
    pub(crate) fn operator(self, name: &str) -> Cow<'_, str> {
        match self.random(5) {
            Some(random) if name.starts_with("## Call CompiledFxGraph") => {
                Cow::Owned(format!("## Call CompiledFxGraph f{random:x}q{:x} ##", random.rotate_left(20)))
            }
            _ => Cow::Borrowed(name),
        }
    }
}
