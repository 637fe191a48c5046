//! Waiting for what another process does: look, and look again, until it has happened, has failed, or the
//! deadline is over. The one polling loop of the house; each look says what is still missing.

use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};

/// Time between two lines of progress about one answer that does not come.
const TICK: Duration = Duration::from_secs(1);

/// What one look found, where nothing failed.
#[derive(Debug)]
pub(crate) enum Look<T> {
    /// Not yet; what is missing, for people.
    NotYet(String),
    Done(T),
}

/// Why a wait ended without what was waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unmet<E> {
    /// A look failed: it will not happen any more.
    Failed(E),
    /// The deadline is over; what was missing at the last look.
    Overdue(String),
}

/// A deadline, and how often it is looked until then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    begun: Instant,
    limit: Duration,
    longest: Duration,
}

/// The first pause. What happens at once is not waited for a noticeable time.
const SHORTEST: Duration = Duration::from_millis(2);

impl Wait {
    /// From now on for at most `limit`. Pauses grow with the time waited, to `longest`: a look costs something,
    /// and what has taken long may take a little longer.
    pub(crate) fn of(limit: Duration, longest: Duration) -> Self {
        Self::since(Instant::now(), limit, longest)
    }

    /// For as long as it takes.
    pub(crate) fn endless(longest: Duration) -> Self {
        Self::of(Duration::MAX, longest)
    }

    /// The same with a deadline that counts from an earlier time.
    pub(crate) fn since(begun: Instant, limit: Duration, longest: Duration) -> Self {
        Self { begun, limit, longest }
    }

    /// Time to the next look; `None` when the deadline is over.
    fn pause(&self) -> Option<Duration> {
        let waited = self.begun.elapsed();
        let left = self.limit.checked_sub(waited).filter(|left| !left.is_zero())?;
        Some((waited / 8).max(SHORTEST).min(self.longest).min(left))
    }

    /// A status with the time waited so far, in whole seconds.
    fn line(&self, status: &str) -> String {
        let waited = Duration::from_secs(self.begun.elapsed().as_secs());
        let form = humantime::format_duration;
        let of =
            if self.limit == Duration::MAX { String::new() } else { format!(" of {}", form(self.limit)) };
        format!("{status} ({}{of})", form(waited))
    }
}

/// Looks until it is done. `tell` hears after each look what is missing and how long it was waited for.
///
/// # Errors
/// A look failed, or the deadline is over.
pub(crate) async fn until<T, E>(
    wait: Wait,
    tell: impl Fn(&str),
    mut look: impl AsyncFnMut() -> Result<Look<T>, E>,
) -> Result<T, Unmet<E>> {
    loop {
        match look().await.map_err(Unmet::Failed)? {
            Look::Done(done) => return Ok(done),
            Look::NotYet(status) => {
                tell(&wait.line(&status));
                let Some(pause) = wait.pause() else { return Err(Unmet::Overdue(status)) };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// [`until`] where nothing can be awaited, such as a drop.
///
/// # Errors
/// A look failed, or the deadline is over.
pub(crate) fn until_blocking<T, E>(
    wait: Wait,
    mut look: impl FnMut() -> Result<Look<T>, E>,
) -> Result<T, Unmet<E>> {
    loop {
        match look().map_err(Unmet::Failed)? {
            Look::Done(done) => return Ok(done),
            Look::NotYet(status) => {
                let Some(pause) = wait.pause() else { return Err(Unmet::Overdue(status)) };
                std::thread::sleep(pause);
            }
        }
    }
}

/// A look that cannot fail.
pub(crate) fn seen(done: bool) -> Result<Look<()>, Infallible> {
    Ok(if done { Look::Done(()) } else { Look::NotYet(String::new()) })
}

/// Waits for an answer that has a deadline of its own; `tell` hears each second how long that has taken.
pub(crate) async fn answer<T>(tell: impl Fn(Duration), future: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let mut future = pin!(future);
    loop {
        if let Ok(done) = tokio::time::timeout(TICK, &mut future).await {
            return done;
        }
        tell(Duration::from_secs(begun.elapsed().as_secs()));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    fn wait(limit: Duration) -> Wait {
        Wait::of(limit, Duration::from_millis(10))
    }

    #[test]
    fn ends_with_what_was_waited_for_with_a_failure_or_with_the_last_status() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let told = RefCell::new(Vec::new());
        let run = |limit: Duration, end: Option<Result<Look<u8>, &'static str>>| {
            let mut end = end;
            let mut looks = 0;
            runtime.block_on(until(
                wait(limit),
                |line: &str| told.borrow_mut().push(line.to_owned()),
                async || {
                    looks += 1;
                    match end.take_if(|_| looks == 3) {
                        Some(end) => end,
                        None => Ok(Look::NotYet(format!("look {looks}"))),
                    }
                },
            ))
        };
        let long = Duration::from_secs(60);
        assert_eq!(run(long, Some(Ok(Look::Done(7)))), Ok(7));
        assert_eq!(told.take(), ["look 1 (0s of 1m)", "look 2 (0s of 1m)"]);
        assert_eq!(run(long, Some(Err("gone"))), Err(Unmet::Failed("gone")));
        let begun = Instant::now();
        let Err(Unmet::Overdue(last)) = run(SHORT, None) else { panic!("it cannot come") };
        assert!(begun.elapsed() >= SHORT, "the whole deadline is used");
        assert!(last.starts_with("look "), "{last}");
    }

    /// Looks are close together at first and never further apart than asked.
    #[test]
    fn pauses_grow_and_end_with_the_deadline() {
        let at = |ago: u64, limit: u64| {
            let begun = Instant::now().checked_sub(Duration::from_millis(ago)).unwrap();
            Wait::since(begun, Duration::from_millis(limit), Duration::from_millis(500)).pause()
        };
        assert_eq!(at(0, 60_000), Some(SHORTEST));
        assert_eq!(at(50_000, 60_000), Some(Duration::from_millis(500)));
        assert!(at(59_990, 60_000).is_some_and(|pause| pause <= Duration::from_millis(10)));
        assert_eq!(at(60_000, 60_000), None);
    }
}
