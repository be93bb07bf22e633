//! Nested calls: what the native lock has to say when a call joins the hold around it. Which calls may try
//! to is a matter of the async context, and so of `lib/nesting.js`.

use crate::name::ShortText;
use crate::send::dedup::MessageKey;
use crate::send::lock::{Caller, Done, NOBODY, Refused, SendLock, known};
use crate::send::rules::{self, Refusal, Request};
use crate::time::Nanos;

impl SendLock {
    /// A call of another layer joins the hold with that token; `None` when that hold has ended. Refused when
    /// the layer may not ask, or when its message was sent already (by anybody but the hold it joins).
    pub fn join(
        &self,
        caller: Caller,
        token: u64,
        layer: Option<&ShortText>,
        message: Option<MessageKey>,
        now: Nanos,
    ) -> Done<Option<Result<(), Refused>>> {
        self.change(now, |book, page, effects, now| {
            let holder = book.holder.filter(|holder| holder.token == token)?;
            let Some(layer) = known(book, page, layer) else {
                return Some(Err(book.refuse(page, &NOBODY, caller, Refusal::UnknownLayer, now, effects)));
            };
            if let Some(key) = message.filter(|_| holder.message != message) {
                let request = Request { layer_known: true, sent_before: book.sent.when(key) };
                if let Some(left) = rules::duplicate_left(&book.settings.rules, &request, now) {
                    let refusal = Refusal::DuplicateMessage { left };
                    return Some(Err(book.refuse(page, &layer, caller, refusal, now, effects)));
                }
                book.sent.remember(key, now);
            }
            page.counters.joins.add(1);
            Some(Ok(()))
        })
    }

    /// A call that joined the hold with that token did not send its message after all. False when the hold
    /// has ended: what happened to the message then is not for the joined one to say.
    pub fn forget_message(&self, token: u64, message: MessageKey, now: Nanos) -> Done<bool> {
        self.change(now, |book, _, _, _| {
            let stands = book.holder.is_some_and(|holder| holder.token == token);
            if stands {
                book.sent.forget(message);
            }
            stands
        })
    }
}
