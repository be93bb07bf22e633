//! Who watches what in a store, and what they have not heard yet. A watcher that was told twice hears the newer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

use crate::lease::store::{Hint, Key, Pending, Watch};

#[derive(Debug, Default)]
pub struct Watchers {
    by_key: RefCell<HashMap<Key, Vec<Weak<Ear>>>>,
}

#[derive(Debug, Default)]
struct Ear {
    told: RefCell<Option<Hint>>,
    wake: Notify,
}

impl Ear {
    fn tell(&self, hint: Hint) {
        *self.told.borrow_mut() = Some(hint);
        self.wake.notify_one();
    }
}

impl Watchers {
    /// Hears from now on.
    pub fn add(self: &Rc<Self>, key: &Key) -> Box<dyn Watch> {
        let ear = Rc::new(Ear::default());
        self.by_key.borrow_mut().entry(key.clone()).or_default().push(Rc::downgrade(&ear));
        Box::new(Watcher { key: key.clone(), ear, all: self.clone() })
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.borrow().is_empty()
    }

    pub fn are_on(&self, key: &str) -> bool {
        self.by_key.borrow().contains_key(key)
    }

    pub fn keys(&self) -> Vec<Key> {
        self.by_key.borrow().keys().cloned().collect()
    }

    pub fn tell(&self, key: &str, hint: &Hint) {
        for ear in self.by_key.borrow().get(key).into_iter().flatten().filter_map(Weak::upgrade) {
            ear.tell(hint.clone());
        }
    }

    /// Something may have changed, nobody knows what.
    pub fn tell_all(&self) {
        for ear in self.by_key.borrow().values().flatten().filter_map(Weak::upgrade) {
            ear.tell(Hint::default());
        }
    }
}

#[derive(Debug)]
struct Watcher {
    key: Key,
    ear: Rc<Ear>,
    all: Rc<Watchers>,
}

impl Watch for Watcher {
    fn next(&mut self) -> Pending<'_, Hint> {
        Box::pin(async {
            loop {
                let told = self.ear.told.borrow_mut().take();
                match told {
                    Some(hint) => return hint,
                    None => self.ear.wake.notified().await,
                }
            }
        })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut by_key = self.all.by_key.borrow_mut();
        if let Some(ears) = by_key.get_mut(&self.key) {
            ears.retain(|ear| ear.strong_count() > 0 && !std::ptr::eq(ear.as_ptr(), Rc::as_ptr(&self.ear)));
            if ears.is_empty() {
                by_key.remove(&self.key);
            }
        }
    }
}
