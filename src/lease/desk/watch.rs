//! Hearing of changes: one watch per key for all who wait for it here. It stays for a while after them, because who
//! has waited for a key will do so again; and what it hears keeps the line's record new, so that fewer writes lose.

use crate::lease::desk::Desk;
use crate::lease::desk::line::{Known, Line};
use crate::lease::desk::outside::Outside;
use crate::lease::store::Watch;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::AbortHandle;

/// How long a watch stays after its last waiter.
const LINGER: Duration = Duration::from_secs(5);
/// After a hint without a record: an engine that hints without end must not keep the thread busy.
const BREATH: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub struct Watching(RefCell<Option<AbortHandle>>);

impl Watching {
    pub fn is_on(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(|task| !task.is_finished())
    }

    pub fn set(&self, task: AbortHandle) {
        *self.0.borrow_mut() = Some(task);
    }

    pub fn stop(&self) {
        if let Some(task) = self.0.borrow_mut().take() {
            task.abort();
        }
    }
}

/// Watches the key from now on, if that can be; only under the line's turn. What is known from before may be old then.
/// Whether the watch is a new one.
pub async fn watch(desk: &Desk, line: &Rc<Line>) -> bool {
    let caps = desk.store.caps();
    if line.is_watched() || !caps.push {
        return false;
    }
    // Without a watch its waiters look from time to time.
    let Ok(watch) = desk.store.watch(&line.key).await else { return false };
    let task = tokio::task::spawn_local(listen(desk.outside.clone(), line.clone(), watch, caps.sessions));
    line.watched_by(task.abort_handle());
    true
}

async fn listen(outside: Outside, line: Rc<Line>, mut watch: Box<dyn Watch>, has_sessions: bool) {
    loop {
        let hint = match tokio::time::timeout(LINGER, watch.next()).await {
            Ok(hint) => hint,
            Err(_) if !line.is_waited_for() => return,
            Err(_) => continue,
        };
        let known = hint.seen.and_then(|seen| Known::read(seen, outside.now()).ok());
        match known {
            // Messages may come late; where versions count, that can be seen.
            Some(known) => line.learn_own(known),
            None => {
                // A write finds out by itself that the record is another, but not that a session has ended.
                if has_sessions || line.is_waited_for() {
                    line.forget();
                }
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}
