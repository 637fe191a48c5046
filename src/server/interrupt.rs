//! Ctrl-C and SIGTERM, heard once per process and told to every run in it, so that each ends its server.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

static HEARD: OnceLock<watch::Sender<Option<i32>>> = OnceLock::new();

/// Runs that have something to end. With none, a signal ends the process as it would without us.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// A run that hears [`interrupted`] and ends its server; counted while it lives.
pub(crate) struct Active(());

impl Active {
    pub(crate) fn begin() -> Self {
        ACTIVE.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts listening. From here on the signals no longer end the process by themselves: whoever calls
/// this must end it when [`heard`] says so.
pub(crate) fn listen() {
    let (sender, _) = watch::channel(None);
    if HEARD.set(sender).is_err() {
        return;
    }
    // A thread of its own: runs come and go with their runtimes, the listener stays.
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(wait);
}

fn wait() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int), Ok(mut hup)) =
            (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
        else {
            return;
        };
        loop {
            let number = tokio::select! {
                _ = term.recv() => 15,
                _ = int.recv() => 2,
                _ = hup.recv() => 1,
            };
            let first = HEARD.get().is_some_and(|sender| {
                sender.send_if_modified(|heard| heard.is_none() && heard.replace(number).is_none())
            });
            // A second signal means now. The guards end what is left.
            if !first || ACTIVE.load(Ordering::SeqCst) == 0 {
                std::process::exit(128 + number);
            }
        }
    });
}

/// Lets every run of this process hear a signal that nobody sent.
pub(crate) fn raise(number: i32) {
    if let Some(sender) = HEARD.get() {
        sender.send_if_modified(|heard| heard.is_none() && heard.replace(number).is_none());
    }
}

/// The signal that was heard, if one was.
pub(crate) fn heard() -> Option<i32> {
    HEARD.get().and_then(|sender| *sender.borrow())
}

/// Resolves when a signal is heard; never when nobody listens.
pub(crate) async fn interrupted() {
    let Some(sender) = HEARD.get() else { return std::future::pending().await };
    let mut receiver = sender.subscribe();
    if receiver.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await;
    }
}
