//! Who lives: taking back what the dead held, telling the living, and watching for the end of others.

use super::place::pipe_name;
use super::{Home, Owed};
use crate::local::departures::{Caller, ProcessId, RowId};
use crate::raw::hold_word::HoldState;
use crate::send::book::{Book, Effects, End, Member};
use crate::send::lock::{Done, SendLock, Which};
use crate::sync::Ordering;
use crate::sys::host_file::{Watch, Woken};
use crate::sys::process;
use crate::table::layout::SendPage;
use crate::time::Nanos;

/// How often those are looked at whose end nobody tells, and what could not be done is tried again.
const LOOK_MS: u32 = 100;
const LOOK_NS: u64 = 100_000_000;
/// How often the rest is looked at: whether the holder's time is up, though its process may be stopped.
const IDLE_MS: u32 = 500;

impl Home {
    fn lives(&self, process: ProcessId, book: &Book) -> bool {
        process == self.me.process
            || book
                .processes
                .iter()
                .find(|member| member.process == process)
                .is_some_and(|member| self.store.lives(member.slot))
    }

    /// The holder and the next in line are alive, or they are not there any more.
    pub(super) fn reap(&self, book: &mut Book, page: &SendPage, now: Nanos, effects: &mut Effects) {
        let of_holder = book.holder.map(|holder| holder.caller.row.process);
        if let Some(process) = of_holder.filter(|process| !self.lives(*process, book)) {
            self.bury(process, book, page, now, effects);
        }
        let next = |book: &Book| book.queue.iter().next().map(|(_, first)| first.caller.row.process);
        while let Some(process) = next(book) {
            if self.lives(process, book) {
                break;
            }
            self.bury(process, book, page, now, effects);
        }
    }

    /// Everybody who is not alive goes.
    fn reap_all(&self, book: &mut Book, page: &SendPage, now: Nanos, effects: &mut Effects) {
        let dead: Vec<Member> =
            book.processes.iter().copied().filter(|member| !self.lives(member.process, book)).collect();
        dead.iter().for_each(|member| self.bury(member.process, book, page, now, effects));
    }

    /// A process has ended: its waiters leave the line, its hold is taken back.
    pub(super) fn bury(
        &self,
        process: ProcessId,
        book: &mut Book,
        page: &SendPage,
        now: Nanos,
        effects: &mut Effects,
    ) {
        book.processes.retain(|member| member.process != process);
        book.outbox.retain(|delivery| delivery.process != process);
        for (ticket, waiter) in book.queue.drain_where(|waiter| waiter.caller.row.process == process) {
            book.deadlines.remove(&(waiter.deadline, ticket));
        }
        book.show_line(page);
        if book.holder.is_some_and(|holder| holder.caller.row.process == process) {
            book.end(page, End::ProcessExit, now, effects);
            // The next in line may be of a dead process, too, which `settle` does not know.
            self.reap(book, page, now, effects);
            book.settle(page, now, effects);
        }
    }

    /// What is for others goes into the state, what came from others is for here.
    pub(super) fn sort_mail(&self, book: &mut Book, effects: &mut Effects) {
        let is_here = |process: ProcessId| process == self.me.process;
        let mut here: Vec<_> = Vec::new();
        book.outbox.retain(|delivery| {
            if is_here(delivery.process) {
                here.push(*delivery);
            }
            !is_here(delivery.process)
        });
        for delivery in effects.tell.drain(..) {
            if is_here(delivery.process) { here.push(delivery) } else { book.outbox.push(delivery) }
        }
        effects.tell = here;
    }

    /// Wakes the processes that have mail, or want to hear of events when there are any.
    pub(super) fn wake_others(&self, book: &Book, has_events: bool) {
        for member in &book.processes {
            let has_mail = book.outbox.iter().any(|delivery| delivery.process == member.process);
            if member.process != self.me.process && (has_mail || has_events && member.listens) {
                self.wake(member);
            }
        }
    }

    pub(super) fn wake(&self, member: &Member) {
        let mut inside = self.inside.lock();
        if inside.wakers.get(&member.slot).is_none_or(|(process, _)| *process != member.process) {
            let waker = self.directory.waker(&pipe_name(&self.name, member.slot));
            let Ok(waker) = waker else { return };
            inside.wakers.insert(member.slot, (member.process, waker));
        }
        let is_heard = inside.wakers.get(&member.slot).is_some_and(|(_, waker)| waker.wake());
        if !is_heard {
            inside.wakers.remove(&member.slot);
        }
    }

    /// Makes the page say what the book says, after an operation that died in the middle.
    pub(super) fn republish(&self, book: &Book) {
        let page = self.page();
        page.sequence.write(|| {
            let word = match (book.holder, book.state.hold) {
                (Some(holder), Some(hold)) if hold.overdue => HoldState::held(holder.token).overdue(),
                (Some(holder), _) => HoldState::held(holder.token),
                (None, _) => HoldState::free(book.last_token),
            };
            if let Some(holder) = book.holder {
                page.holder_layer.set(&holder.layer.name);
                page.holder_row.set(holder.caller.row.to_word());
                page.holder_thread.set(holder.caller.thread_id);
                page.held_since.set(holder.since.0);
            }
            page.last_acquired.set(book.state.last_acquired.0);
            page.last_ended.set(book.state.last_ended.0);
            book.show_line(page);
            page.layer_count.set(book.layers.publish(&page.layers));
            book.settings.publish(book.layers.any(), &page.rules);
            page.word.write(word);
        });
    }

    /// Whether a slot's head was torn by a death, and not written anew yet.
    pub(super) fn is_torn(&self) -> bool {
        self.store.newest(false).is_err()
    }
}

impl SendLock {
    /// A release that must not be lost for want of the state: it is done as soon as that can be had.
    #[cold]
    pub(in crate::send) fn release_later(
        &self,
        caller: Caller,
        which: Which<'_>,
        sent: bool,
        done: &mut Done<bool>,
    ) {
        let holder = self.book.lock().holder.filter(|holder| which.is(holder, caller));
        if let (Some(home), Some(holder)) = (self.home.get(), holder) {
            home.inside.lock().owed.push(Owed::Release { caller, token: holder.token, sent });
            done.answer = true;
        }
    }

    #[cold]
    pub(in crate::send) fn depart_later(&self, row: RowId) {
        if let Some(home) = self.home.get() {
            home.inside.lock().owed.push(Owed::Depart(row));
        }
    }

    /// Does what is owed; what cannot be done yet is owed again.
    pub(super) fn pay(&self, now: Nanos) -> Vec<Done<bool>> {
        let Some(home) = self.home.get() else { return Vec::new() };
        let owed = std::mem::take(&mut home.inside.lock().owed);
        let pay = |owed| match owed {
            Owed::Release { caller, token, sent } => self.release(caller, Which::Token(token), sent, now),
            Owed::Depart(row) => self.depart(row, now),
        };
        owed.into_iter().map(pay).collect()
    }

    /// Whether this process's threads want to hear of events.
    pub fn set_listening(&self, listens: bool, now: Nanos) -> Done<()> {
        let me = self.home.get().map(|home| home.me.process);
        self.change(now, |book, _, _, _| {
            for member in book.processes.iter_mut().filter(|member| Some(member.process) == me) {
                member.listens = listens;
            }
        })
    }
}

/// What one native thread of a process waits for: its pipe, and the end of the other processes.
#[derive(Debug)]
pub struct Watcher {
    watch: Watch,
    watched: Vec<Member>,
    /// Somebody's end would not be told.
    must_look: bool,
    events: u64,
}

impl Watcher {
    pub(super) fn new(watch: Watch) -> Self {
        // Until it has looked it knows nobody.
        Self { watch, watched: Vec::new(), must_look: true, events: 0 }
    }

    /// Waits until there may be something to do, and does it: fetches mail, takes back what the dead held. Answers
    /// what is to be told, and whether there were events.
    pub fn attend(&mut self, lock: &SendLock, now: impl Fn() -> Nanos) -> (Vec<Done<bool>>, bool) {
        let Some(home) = lock.home.get() else { return (Vec::new(), false) };
        let owes = !home.inside.lock().owed.is_empty() || home.refused.load(Ordering::Relaxed) > 0;
        let woken = self.watch.wait(if self.must_look || owes { LOOK_MS } else { IDLE_MS });
        if home.store.check().is_err() {
            // Nothing may be touched; whoever asks is told.
            std::thread::sleep(Nanos(LOOK_NS).duration());
            return (Vec::new(), false);
        }
        let is_due = self.is_due(lock.page(), now());
        let (mut done, before) = (Vec::new(), self.watched.len());
        if woken != Woken::default() || self.must_look || owes || is_due {
            done = lock.pay(now());
            done.push(self.look_around(lock, home, now()));
        }
        if woken.ended && self.watched.len() == before {
            // It has ended and cannot be taken out: not at once again.
            std::thread::sleep(Nanos(10_000_000).duration());
        }
        let events = std::mem::replace(&mut self.events, lock.page().events.written());
        (done, events != self.events)
    }

    /// Whether the holder's time may be up: its own process's clock may be stopped.
    fn is_due(&self, page: &SendPage, now: Nanos) -> bool {
        let age = now.since(Nanos(page.held_since.get()));
        let rules = &page.rules;
        let state = page.word.read();
        let timeout = if state.is_overdue() { u64::MAX } else { rules.timeout.get() };
        state.is_held() && age.0 >= timeout.min(rules.force_after.get())
    }

    fn look_around(&mut self, lock: &SendLock, home: &Home, now: Nanos) -> Done<bool> {
        let mut members = None;
        let done = lock.change(now, |book, page, effects, now| {
            home.reap_all(book, page, now, effects);
            book.settle(page, now, effects);
            members = Some(book.processes.clone());
            true
        });
        if let Some(members) = members.filter(|members| *members != self.watched) {
            self.follow(home, members);
        }
        done
    }

    fn follow(&mut self, home: &Home, members: Vec<Member>) {
        self.watch.clear();
        self.must_look = false;
        for member in members.iter().filter(|member| member.process != home.me.process) {
            let is_watched = member.pid_namespace == process::own().pid_namespace
                && self.watch.add(member.process.pid())
                // Alive after its pid was taken: that pid was its own.
                && home.store.lives(member.slot);
            self.must_look |= !is_watched;
        }
        self.watched = members;
    }
}
