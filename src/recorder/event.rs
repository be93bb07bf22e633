//! What happens to locks, and how it lies in the ring: seven words.

use crate::name::ShortText;
use crate::recorder::ring::WORDS;
use crate::recorder::texts::{Kept, Text, Texts};
use crate::time::Nanos;

/// What happened. The words are part of the journal's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Acquired,
    Released,
    /// Asked without waiting, in vain.
    Blocked,
    Waiting,
    TimedOut,
    Aborted,
    Overdue,
    /// Taken from a live holder on somebody's order, or for its age.
    Forced,
    /// Taken back from a thread or process that ended.
    Recovered,
    Stolen,
    Deadlock,
    /// Against the order seen so far.
    Order,
    Downgraded,
    Upgraded,
    /// Not even put in line.
    Refused,
    /// Released after its callback had thrown, or not to be had from the system.
    Failed,
    Lost,
    /// A process of the registry has another status.
    Status,
    /// Events that found the ring full.
    Dropped,
}

impl What {
    pub const ALL: [(What, &'static str); 19] = [
        (What::Acquired, "acquired"),
        (What::Released, "released"),
        (What::Blocked, "blocked"),
        (What::Waiting, "waiting"),
        (What::TimedOut, "timed_out"),
        (What::Aborted, "aborted"),
        (What::Overdue, "overdue"),
        (What::Forced, "forced"),
        (What::Recovered, "recovered"),
        (What::Stolen, "stolen"),
        (What::Deadlock, "deadlock"),
        (What::Order, "order"),
        (What::Downgraded, "downgraded"),
        (What::Upgraded, "upgraded"),
        (What::Refused, "refused"),
        (What::Failed, "failed"),
        (What::Lost, "lost"),
        (What::Status, "status"),
        (What::Dropped, "dropped"),
    ];
}

/// What it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Send,
    Lock,
    Semaphore,
    Host,
    Registry,
    /// The journal itself.
    Journal,
    Lease,
}

impl Of {
    pub const ALL: [(Of, &'static str); 7] = [
        (Of::Send, "send"),
        (Of::Lock, "lock"),
        (Of::Semaphore, "semaphore"),
        (Of::Host, "host"),
        (Of::Registry, "registry"),
        (Of::Journal, "journal"),
        (Of::Lease, "lease"),
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Exclusive,
    Shared,
}

impl Mode {
    pub const ALL: [(Mode, &'static str); 2] = [(Mode::Exclusive, "exclusive"), (Mode::Shared, "shared")];
}

/// One event, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub at: Nanos,
    pub of: Of,
    pub what: What,
    pub mode: Option<Mode>,
    pub thread_id: Option<u64>,
    /// 0 for none.
    pub token: u64,
    /// How long it was held, or waited for.
    pub span: Option<Nanos>,
    pub lock: (Text<'a>, Option<&'a Kept>),
    pub layer: (Text<'a>, Option<&'a Kept>),
    pub label: Text<'a>,
    /// Who was in the way, or why.
    pub other: Text<'a>,
}

impl<'a> Event<'a> {
    #[inline(always)]
    pub fn new(of: Of, what: What, at: Nanos, lock: (Text<'a>, Option<&'a Kept>)) -> Self {
        let layer = (Text::None, None);
        let (mode, thread_id, token, span) = (None, None, 0, None);
        Self { at, of, what, mode, thread_id, token, span, lock, layer, label: Text::None, other: Text::None }
    }
}

/// One event, as it lies in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub at: Nanos,
    pub of: Of,
    pub what: What,
    pub mode: Option<Mode>,
    pub thread_id: Option<u64>,
    pub token: u64,
    pub span: Option<Nanos>,
    pub lock: u32,
    pub layer: u32,
    pub label: u32,
    pub other: u32,
}

const NO_THREAD: u64 = u32::MAX as u64;
const NO_MODE: u64 = 0xff;

impl Event<'_> {
    #[inline(always)]
    pub fn pack(&self, texts: &Texts) -> [u64; WORDS] {
        let mode = self.mode.map_or(NO_MODE, |mode| mode as u64);
        let thread = self.thread_id.unwrap_or(NO_THREAD).min(NO_THREAD);
        let number = |(text, kept): (Text<'_>, Option<&Kept>)| u64::from(texts.number(text, kept));
        [
            self.at.0,
            self.token,
            self.span.map_or(0, |span| span.0.saturating_add(1)),
            thread << 32 | mode << 16 | (self.of as u64) << 8 | self.what as u64,
            number(self.lock) << 32 | number(self.layer),
            number((self.label, None)) << 32 | number((self.other, None)),
            0,
        ]
    }
}

impl Record {
    pub fn unpack(words: [u64; WORDS]) -> Option<Record> {
        let [at, token, span, facts, names, said, _] = words;
        let byte = |shift: u32| (facts >> shift & 0xff) as usize;
        let (what, _) = *What::ALL.get(byte(0))?;
        let (of, _) = *Of::ALL.get(byte(8))?;
        let mode = Mode::ALL.get(byte(16)).map(|(mode, _)| *mode);
        let thread_id = Some(facts >> 32).filter(|thread| *thread != NO_THREAD);
        let span = span.checked_sub(1).map(Nanos);
        let (lock, layer, label, other) =
            ((names >> 32) as u32, names as u32, (said >> 32) as u32, said as u32);
        Some(Record { at: Nanos(at), of, what, mode, thread_id, token, span, lock, layer, label, other })
    }
}

/// A short text, or none.
pub fn short(text: &ShortText) -> Text<'_> {
    if text.is_empty() { Text::None } else { Text::Short(text) }
}

/// A text that may be missing.
pub fn plain(text: Option<&str>) -> Text<'_> {
    text.map_or(Text::None, Text::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_out_of_the_ring_as_it_went_in() {
        let texts = Texts::default();
        for (of, _) in Of::ALL {
            for (what, _) in What::ALL {
                let lock = (Text::Plain("deploy"), None);
                let mut event =
                    Event { token: 7, label: Text::Plain("ci"), ..Event::new(of, what, Nanos(5), lock) };
                let record = Record::unpack(event.pack(&texts)).unwrap();
                assert_eq!((record.of, record.what, record.at, record.token), (of, what, Nanos(5), 7));
                assert_eq!((record.mode, record.thread_id, record.span), (None, None, None));
                assert_eq!(texts.text(record.lock).as_deref(), Some("deploy"));
                assert_eq!(
                    (texts.text(record.label).as_deref(), texts.text(record.other)),
                    (Some("ci"), None)
                );
                (event.mode, event.thread_id, event.span) = (Some(Mode::Shared), Some(0), Some(Nanos(0)));
                let record = Record::unpack(event.pack(&texts)).unwrap();
                assert_eq!(
                    (record.mode, record.thread_id, record.span),
                    (Some(Mode::Shared), Some(0), Some(Nanos(0)))
                );
            }
        }
        assert!(What::ALL.iter().enumerate().all(|(at, (what, _))| *what as usize == at));
        assert!(Of::ALL.iter().enumerate().all(|(at, (of, _))| *of as usize == at));
        assert_eq!(Record::unpack([u64::MAX; WORDS]), None, "foreign words are nothing");
    }
}
