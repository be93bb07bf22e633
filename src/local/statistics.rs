//! What is counted of one resource, by mode, and its last operations. The figures of a resource that is shown
//! lie in its slot in the table and nowhere else. Those of others cost no memory as long as nobody does
//! anything: a mode's are made when it is first used.

use crate::table::named::ModeStatistics;
use crate::time::Nanos;

/// How many operations a name remembers.
pub const OPERATIONS: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Exclusive,
    Shared,
}

impl Mode {
    /// Of a claim by its weight (`local::claim::Part`).
    #[inline]
    pub fn of(weight: u64) -> Mode {
        if weight == 0 { Mode::Exclusive } else { Mode::Shared }
    }
}

/// What can happen to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Acquired,
    Released,
    /// Released after the callback had thrown.
    Failed,
    TimedOut,
    Aborted,
    Stolen,
    Forced,
    Died,
    Deadlocked,
    Downgraded,
    Upgraded,
}

#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub at: Nanos,
    pub what: Operation,
    pub mode: Mode,
    pub thread_id: u64,
    pub token: u64,
    /// How long it waited or held.
    pub span: Nanos,
}

impl Record {
    #[inline]
    fn ends_hold(&self) -> bool {
        match self.what {
            Operation::Acquired | Operation::TimedOut | Operation::Aborted | Operation::Deadlocked => false,
            // A waiter has no token yet.
            Operation::Died => self.token != 0,
            Operation::Released
            | Operation::Failed
            | Operation::Stolen
            | Operation::Forced
            | Operation::Downgraded
            | Operation::Upgraded => true,
        }
    }
}

#[derive(Debug)]
enum Figures {
    InTable(&'static [ModeStatistics; 2]),
    Own([Option<Box<ModeStatistics>>; 2]),
}

#[derive(Debug)]
pub struct Statistics {
    figures: Figures,
    operations: Vec<Record>,
    /// Where the next record goes, once there are as many as are kept.
    next: usize,
}

impl Default for Statistics {
    fn default() -> Self {
        Self { figures: Figures::Own([None, None]), operations: Vec::new(), next: 0 }
    }
}

impl Statistics {
    /// Figures that everybody can see; they are to be all zero.
    pub fn in_table(figures: &'static [ModeStatistics; 2]) -> Self {
        Self { figures: Figures::InTable(figures), ..Self::default() }
    }

    /// From now on everybody can see the figures; those that are given are to be all zero.
    pub fn move_to(&mut self, shown: &'static [ModeStatistics; 2]) {
        if let Figures::Own(own) = &self.figures {
            for (to, from) in shown.iter().zip(own) {
                from.iter().for_each(|from| to.copy_from(from));
            }
        }
        self.figures = Figures::InTable(shown);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match &mut self.figures {
            Figures::InTable(figures) => figures.iter().for_each(ModeStatistics::clear),
            Figures::Own(figures) => *figures = [None, None],
        }
        self.operations = Vec::new();
        self.next = 0;
    }

    #[inline]
    pub fn mode(&mut self, mode: Mode) -> &ModeStatistics {
        match &mut self.figures {
            Figures::InTable(figures) => &figures[mode as usize],
            Figures::Own(figures) => figures[mode as usize].get_or_insert_with(Box::default),
        }
    }

    pub fn of(&self, mode: Mode) -> Option<&ModeStatistics> {
        match &self.figures {
            Figures::InTable(figures) => Some(&figures[mode as usize]),
            Figures::Own(figures) => figures[mode as usize].as_deref(),
        }
    }

    /// A hold of another mode became one of this one.
    pub fn begin_other_mode(&mut self, mode: Mode) {
        self.mode(mode).acquisitions.add(1);
    }

    /// Counts and remembers an operation.
    #[inline]
    pub fn note(&mut self, record: Record) {
        let mode = self.mode(record.mode);
        match record.what {
            Operation::Acquired => {
                mode.acquisitions.add(1);
                mode.wait.record(record.span);
            }
            Operation::Released => mode.releases.add(1),
            Operation::Failed => {
                mode.releases.add(1);
                mode.errors.add(1);
            }
            Operation::TimedOut => mode.timeouts.add(1),
            Operation::Aborted => mode.aborts.add(1),
            Operation::Stolen => mode.steals.add(1),
            Operation::Forced => {
                mode.steals.add(1);
                mode.forced.add(1);
            }
            Operation::Died => mode.deaths.add(1),
            Operation::Deadlocked => mode.deadlocks.add(1),
            // The hold of one mode ends, and one of the other begins (`begin_other_mode`).
            Operation::Downgraded | Operation::Upgraded => mode.releases.add(1),
        }
        if record.ends_hold() {
            mode.hold.record(record.span);
        }
        self.remember(record);
    }

    #[inline]
    fn remember(&mut self, record: Record) {
        if self.operations.len() < OPERATIONS {
            self.operations.push(record);
        } else {
            self.operations[self.next] = record;
            self.next = (self.next + 1) % OPERATIONS;
        }
    }

    /// The last operations, oldest first.
    pub fn operations(&self) -> impl Iterator<Item = &Record> {
        let (new, old) = self.operations.split_at(self.next);
        old.iter().chain(new)
    }

    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_hundred_are_kept_in_their_order() {
        let mut statistics = Statistics::default();
        for at in 0..250 {
            let mode = if at % 2 == 0 { Mode::Shared } else { Mode::Exclusive };
            let what = Operation::Acquired;
            statistics.note(Record { at: Nanos(at), what, mode, thread_id: 0, token: at, span: Nanos(0) });
        }
        let kept: Vec<u64> = statistics.operations().map(|record| record.token).collect();
        assert_eq!(kept, (150..250).collect::<Vec<u64>>());
        assert_eq!(statistics.of(Mode::Shared).unwrap().acquisitions.get(), 125);
    }
}
