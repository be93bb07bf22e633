//! The messages already sent. A message is known by a 128-bit hash of its text (two SipHash-1-3 of std
//! with different prefixes), so that nothing of it stays in memory and two messages are never taken for one.
//!
//! A message counts as sent from the acquisition that named it. It is forgotten when the holder gives the
//! lock back saying that nothing was sent; when the hold is taken away or its thread dies, nobody knows, and
//! it stays: a message may be missing with a report, but is not sent twice.

use crate::time::Nanos;
use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Messages remembered at the most; the oldest goes first.
pub const REMEMBERED: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageKey(pub(super) u128);

impl MessageKey {
    pub fn of(text: &[u8]) -> Self {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, text).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        Self(half(1) << 64 | half(2))
    }
}

#[derive(Debug, Default)]
pub struct Sent {
    at: HashMap<MessageKey, Nanos>,
    order: VecDeque<(MessageKey, Nanos)>,
    /// What has changed since it was last taken; kept only where others must be told.
    news: Option<Vec<News>>,
}

/// One change of what is remembered: when the message was sent; `None`: that it was not.
pub type News = (MessageKey, Option<Nanos>);

impl Sent {
    /// Nothing remembered, and every change from now on is kept for others.
    pub fn told() -> Self {
        Self { news: Some(Vec::new()), ..Self::default() }
    }

    pub fn take_news(&mut self) -> Vec<News> {
        self.news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Makes a change that others made.
    pub fn follow(&mut self, (key, at): News) {
        let news = self.news.take();
        match at {
            Some(at) => self.remember(key, at),
            None => self.forget(key),
        }
        self.news = news;
    }

    /// What is remembered, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = (MessageKey, Nanos)> + '_ {
        self.order.iter().copied().filter(|(key, at)| self.when(*key) == Some(*at))
    }

    pub fn when(&self, key: MessageKey) -> Option<Nanos> {
        self.at.get(&key).copied()
    }

    pub fn remember(&mut self, key: MessageKey, now: Nanos) {
        if let Some(news) = &mut self.news {
            news.push((key, Some(now)));
        }
        self.at.insert(key, now);
        self.order.push_back((key, now));
        while self.order.len() > REMEMBERED {
            if let Some((oldest, at)) = self.order.pop_front() {
                self.forget_if(oldest, at);
            }
        }
    }

    /// As if it had never been sent.
    pub fn forget(&mut self, key: MessageKey) {
        if self.at.remove(&key).is_some()
            && let Some(news) = &mut self.news
        {
            news.push((key, None));
        }
    }

    /// An entry that was renewed since is not the one to go.
    fn forget_if(&mut self, key: MessageKey, at: Nanos) {
        if self.when(key) == Some(at) {
            self.at.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let mut sent = Sent::default();
        for n in 0..3 * REMEMBERED as u64 {
            sent.remember(MessageKey::of(&n.to_le_bytes()), Nanos(n));
        }
        assert!(sent.at.len() <= REMEMBERED && sent.order.len() <= REMEMBERED);
        let last = 3 * REMEMBERED as u64 - 1;
        assert_eq!(sent.when(MessageKey::of(&last.to_le_bytes())), Some(Nanos(last)));
        assert_eq!(sent.when(MessageKey::of(&0u64.to_le_bytes())), None);
    }

    #[test]
    fn a_renewed_message_outlives_its_first_entry() {
        let mut sent = Sent::default();
        let key = MessageKey::of(b"again");
        sent.remember(key, Nanos(1));
        sent.remember(key, Nanos(2));
        for n in 0..REMEMBERED as u64 - 1 {
            sent.remember(MessageKey::of(&n.to_le_bytes()), Nanos(3));
        }
        assert_eq!(sent.when(key), Some(Nanos(2)));
    }
}
