//! The manager: the face of the leases towards the rest of the house. Callable from any thread, never blocks; all
//! work is done on the I/O thread, and answers come from there.

pub mod acquire;
pub mod cell;
pub mod chase;
pub mod check;
pub mod client;
pub mod decide;
pub mod refusal;
pub mod release;
pub mod send;
pub mod several;
pub mod shared;
pub mod shortcut;
pub mod shown;
pub mod statistics;
pub mod trouble;
pub mod types;
pub mod wait;

pub use cell::LeaseCell;
pub use statistics::Statistics;
pub use types::*;

use crate::lease::desk::Desk;
use crate::lease::desk::line::Known;
use crate::lease::desk::outside::Outside;
use crate::lease::fault::Fault;
use crate::lease::manager::client::Client;
use crate::lease::manager::shared::{Shared, next_id};
use crate::lease::page::book::Book;
use crate::lease::page::observed::Observed;
use crate::lease::page::sheet::Sheet;
use crate::lease::send::How;
use crate::lease::store::{Caps, StoreError};
use crate::lease::{runtime, stores};
use crate::sync::Arc;
use crate::time;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// Cheap to clone; every clone is the same manager.
#[derive(Clone, Debug)]
pub struct Manager {
    shared: Arc<Shared>,
}

/// What a manager has on the I/O thread.
#[derive(Clone)]
enum Opened {
    Client(Rc<Client>),
    /// The store's settings cannot be used.
    Failed(StoreError),
    Closed,
}

thread_local! {
    /// Of the I/O thread: its managers, and its desks by their setup.
    static CLIENTS: RefCell<HashMap<u64, Opened>> = RefCell::default();
    static DESKS: RefCell<Vec<(crate::lease::address::Setup, Weak<Desk>)>> = RefCell::default();
}

fn desk_of(opening: &Opening) -> Result<Rc<Desk>, StoreError> {
    DESKS.with_borrow_mut(|desks| {
        desks.retain(|(_, desk)| desk.upgrade().is_some_and(|desk| !desk.is_closed.get()));
        let same = desks.iter().find(|(setup, _)| *setup == opening.setup);
        if let Some(desk) = same.and_then(|(_, desk)| desk.upgrade()) {
            return Ok(desk);
        }
        let store = stores::open(&opening.setup)?;
        let sheet = Sheet::new(Book::own(), store.caps().engine, store.shown());
        let store = Observed::new(store, sheet.clone());
        let desk = Desk::new(store, Outside::real(), opening.setup.request_timeout, sheet);
        desks.push((opening.setup.clone(), Rc::downgrade(&desk)));
        Ok(desk)
    })
}

fn client_of(shared: &Arc<Shared>) -> Result<Rc<Client>, Fault> {
    let known = CLIENTS.with_borrow(|clients| clients.get(&shared.id).cloned());
    let opened = known.unwrap_or_else(|| {
        let opened = match desk_of(&shared.opening) {
            Ok(desk) => Opened::Client(Client::new(desk, shared.clone())),
            Err(error) => Opened::Failed(error),
        };
        CLIENTS.with_borrow_mut(|clients| clients.insert(shared.id, opened.clone()));
        opened
    });
    match opened {
        Opened::Client(client) => Ok(client),
        Opened::Failed(error) => Err(Fault::of(&error, &shared.opening.setup.address.shown(), None)),
        Opened::Closed => Err(Client::closed_fault()),
    }
}

impl Manager {
    /// Opens nothing yet: the store is reached with the first request.
    pub fn open(opening: Opening, events: Arc<dyn Events>) -> Result<Manager, Fault> {
        Ok(Manager { shared: Shared::new(opening, events, time::boot_now()) })
    }

    /// Runs something with the client on the I/O thread; where there is none, the reply hears why.
    fn with<T: 'static>(
        &self,
        reply: Reply<T>,
        run: impl FnOnce(Rc<Client>, Reply<T>) + Send + 'static,
    ) -> Result<(), Fault> {
        let shared = self.shared.clone();
        runtime::run(move || match client_of(&shared) {
            Ok(client) => run(client, reply),
            Err(fault) => reply(Err(fault)),
        })
    }

    pub fn acquire(&self, request: Request, reply: Reply<Granted>) -> Result<RequestId, Fault> {
        let id = RequestId(next_id());
        self.with(reply, move |client, reply| client.acquire(id, request, reply))?;
        Ok(id)
    }

    /// Its reply hears of it at once; the place in line is given up, and what may be granted late is released.
    pub fn abort(&self, request: RequestId) {
        // A manager without a client has no requests.
        let _ = self.with(Box::new(|_: Result<(), Fault>| {}), move |client, _| client.abort(request));
    }

    pub fn renew(&self, lease: LeaseId, reply: Reply<u64>) -> Result<(), Fault> {
        self.keep_on(lease);
        self.with(reply, move |client, reply| client.renew(lease, reply))
    }

    pub fn release(&self, lease: LeaseId, reply: Reply<Released>) -> Result<(), Fault> {
        self.keep_on(lease);
        self.with(reply, move |client, reply| client.release(lease, How::Released, reply))
    }

    /// The same for a send lock whose message was not sent.
    pub fn release_unsent(&self, lease: LeaseId, reply: Reply<Released>) -> Result<(), Fault> {
        self.keep_on(lease);
        self.with(reply, move |client, reply| client.release(lease, How::Unsent, reply))
    }

    /// The holder of a lost lease has let go of it: it is of no interest to anybody any more.
    pub fn let_go(&self, lease: LeaseId) {
        // Without a client nothing is shown.
        let _ =
            self.with(Box::new(|_: Result<(), Fault>| {}), move |client, _| client.desk.sheet.let_go(lease));
    }

    /// Looks at a send lock, or changes what is everybody's in it.
    pub fn send(&self, call: send::Call, reply: Reply<String>) -> Result<(), Fault> {
        self.with(reply, move |client, reply| {
            tokio::task::spawn_local(async move { reply(send::run(&client, call).await) });
        })
    }

    pub fn inspect(&self, key: String, reply: Reply<Status>) -> Result<(), Fault> {
        self.with(reply, move |client, reply| {
            tokio::task::spawn_local(async move { reply(inspect(&client, &key).await) });
        })
    }

    /// The keys that begin so, at most `most`, with what is known of them.
    pub fn list(
        &self,
        prefix: String,
        most: usize,
        reply: Reply<Vec<(String, Status)>>,
    ) -> Result<(), Fault> {
        self.with(reply, move |client, reply| {
            tokio::task::spawn_local(async move { reply(list(&client, &prefix, most).await) });
        })
    }

    /// Ends everything; without `release` what is held expires by itself.
    pub fn close(&self, release: bool, reply: Reply<()>) -> Result<(), Fault> {
        let shared = self.shared.clone();
        runtime::run(move || {
            let known = CLIENTS.with_borrow_mut(|clients| clients.insert(shared.id, Opened::Closed));
            match known {
                Some(Opened::Client(client)) => {
                    tokio::task::spawn_local(async move {
                        client.close(release).await;
                        reply(Ok(()));
                    });
                }
                _ => reply(Ok(())),
            }
        })
    }

    pub fn statistics(&self) -> Statistics {
        self.shared.shortcut.statistics(&self.shared.counters)
    }

    /// What the store promises; reaches for nothing.
    pub fn caps(&self) -> Result<Caps, Fault> {
        let setup = &self.shared.opening.setup;
        let caps = self.shared.caps.get_or_try_init(|| stores::open(setup).map(|store| store.caps().clone()));
        caps.cloned().map_err(|error| Fault::of(&error, &setup.address.shown(), None))
    }

    /// The event loop is alive.
    pub fn beat(&self) {
        self.shared.beats(time::boot_now());
    }
}

async fn inspect(client: &Client, key: &str) -> Result<Status, Fault> {
    check::key_is_allowed(key)?;
    let desk = &client.desk;
    let line = desk.line(key);
    let known = desk.look(&line).await;
    known.map(|known| shown::status(desk, &known)).map_err(|error| client.fault(&error, Some(key)))
}

async fn list(client: &Client, prefix: &str, most: usize) -> Result<Vec<(String, Status)>, Fault> {
    let desk = &client.desk;
    let found = desk.store.list(prefix, most).await.map_err(|error| client.fault(&error, None))?;
    // What lies there and is not ours is not listed.
    let ours = found.into_iter().filter_map(|(key, mut seen)| {
        let gone = std::mem::take(&mut seen.gone);
        let mut known = Known::read(seen, desk.now()).ok()?;
        known.gone = Some(gone);
        Some((key.to_string(), shown::status(desk, &known)))
    });
    Ok(ours.collect())
}
