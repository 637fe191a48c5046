//! Ctrl-C and SIGTERM, heard once per process and told to every run in it, so that each ends its server.

use std::sync::OnceLock;

use tokio::sync::watch;

static HEARD: OnceLock<watch::Sender<Option<i32>>> = OnceLock::new();

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
            if let Some(sender) = HEARD.get() {
                // The first signal counts; the runs are ending already when a second one comes.
                sender.send_if_modified(|heard| heard.is_none() && heard.replace(number).is_none());
            }
        }
    });
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
        std::future::pending().await
    }
}
