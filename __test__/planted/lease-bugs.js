// The bugs of leases, planted as those in bugs.js. Most of them are about what happens when answers are lost, clients
// stop or stores end something by themselves: the simulated world of the Rust tests sees that in moments, so what they
// are to be caught by is a Rust test (`proof`), at some stores with its server (`engine`).
'use strict'

const STORES = require('./lease-store-bugs')

const WORLD = 'tests::lease'
const AT_ONCE = `${WORLD}::at_once`
const SCHEDULES = `${WORLD}::schedules::no_schedule_breaks_a_promise`
const BELIEF = `${WORLD}::flows::a_belief_counts_from_the_request_and_not_from_its_answer`

/** Bugs in the JavaScript of leases. */
const SCRIPTED = [
  {
    name: 'the loss of a lease does not abort its signal',
    file: 'lib/leases/lease.js',
    from: 'this.#controller?.abort(',
    to: 'void (',
    suite: 'leases-lost.test.js',
    test: 'with requireLoopAliveMs it loses it, and knows at once',
  },
  {
    name: 'a lease does not ask the native side whether it is lost',
    file: 'lib/leases/lease.js',
    from: 'if (!calls.isLost(this.#id)) return false',
    to: 'if (calls !== undefined) return false',
    suite: 'leases-lost.test.js',
    test: 'with requireLoopAliveMs it loses it, and knows at once',
  },
  {
    name: 'a second release asks anew',
    file: 'lib/leases/lease.js',
    from: 'return (this.#release ??= this.#giveBack())',
    to: 'return (this.#release = this.#giveBack())',
    suite: 'leases.test.js',
    test: 'a grant, its facts, and its release',
  },
  {
    name: 'a worker gives back what another one holds',
    file: 'lib/leases/familiar.js',
    from: 'if (worker !== undefined && worker !== lease.workerId) {',
    to: 'if (worker === null) {',
    suite: 'leases-familiar.test.js',
    test: 'acquire, look, release, by the number of an issue',
  },
  {
    name: 'an SQL fence lets every token write',
    file: 'lib/leases/fence.js',
    from: ' AND ${token} <= ${last}`',
    to: '`',
    suite: 'leases-fence.test.js',
    test: 'an SQL fence: its texts and its values',
  },
  {
    name: 'a conditional write does not look at the token',
    file: 'lib/leases/fence.js',
    from: 'seen !== null && seen.token > token',
    to: 'seen !== null && seen.token < 0',
    suite: 'leases-fence.test.js',
    test: 'a conditional write: made, overtaken, tried again',
  },
]

/** Bugs in the rules, in the manager and in the keeper of leases. */
const RULES = [
  {
    name: 'no nonce: whoever asks is taken for the holder',
    file: 'src/lease/desk/outside.rs',
    from: 'Nonce::new(self.prefix ^ chance.u64(..), chance.u64(..))',
    to: 'Nonce::new(self.prefix & 0, chance.u64(..) & 0)',
    proof: `${AT_ONCE}::pairs_at_once_grow_the_token_exclude_others_and_are_counted`,
  },
  {
    name: 'after a lost answer the nonce is not compared',
    file: 'src/lease/rules.rs',
    from: 'if record.hold(&ask.nonce).is_some_and(|hold|',
    to: 'if record.holds.first().is_some_and(|hold|',
    proof: `${WORLD}::rules::who_gets_what`,
  },
  {
    name: 'anybody releases',
    file: 'src/lease/rules.rs',
    from: `    if record.hold(nonce).is_none() && record.place(nonce).is_none() {
        return None;
    }
    let mut next = record.clone();
    next.holds.retain(|hold| hold.nonce != *nonce);`,
    to: '    let mut next = record.clone();\n    next.holds.clear();',
    proof: `${WORLD}::rules::only_its_holder_renews_and_releases`,
  },
  {
    name: 'a release takes the other holds with it',
    file: 'src/lease/rules.rs',
    from: 'next.holds.retain(|hold| hold.nonce != *nonce);',
    to: 'next.holds.clear();',
    proof: `${AT_ONCE}::a_release_takes_nothing_with_it_that_came_later`,
  },
  {
    name: 'tokens begin anew with a release',
    file: 'src/lease/rules.rs',
    from: 'next.holds.retain(|hold| hold.nonce != *nonce);',
    to: 'next.holds.retain(|hold| hold.nonce != *nonce);\n    next.token = next.holds.len() as u64;',
    proof: `${WORLD}::flows::an_uncontended_pair_is_two_requests`,
  },
  {
    name: 'what has expired is renewed',
    file: 'src/lease/rules.rs',
    from: 'let held = record.hold(nonce).filter(|hold| !view.is_over(&hold.term, &hold.who))?;',
    to: 'let held = record.hold(nonce).filter(|hold| hold.token > 0 || !view.is_over(&hold.term, &hold.who))?;',
    proof: `${WORLD}::rules::only_its_holder_renews_and_releases`,
  },
  {
    name: 'the grain of the store’s clock is forgotten',
    file: 'src/lease/rules.rs',
    from: 'None => self.now > term.until.saturating_add(self.slack),',
    to: 'None => self.now > term.until,',
    proof: `${WORLD}::rules::nothing_is_over_within_the_grain_of_the_stores_clock`,
  },
  {
    name: 'the end of a session is not seen',
    file: 'src/lease/rules.rs',
    from: 'Some(session) => self.gone.contains(session),',
    to: 'Some(session) => session.is_empty(),',
    proof: `${WORLD}::sessions::a_session_that_ended_before_the_watch_is_found`,
  },
  {
    name: 'a session that the store has ended is renewed on',
    file: 'src/lease/keeper/session.rs',
    from: 'let goes_on = lives && !session.is_over.get()',
    to: 'let goes_on = (lives || session.ttl_ms > 0) && !session.is_over.get()',
    proof: `${WORLD}::sessions::a_session_that_the_store_ends_early_is_a_loss_with_the_next_renewal`,
  },
  {
    name: 'no deadline',
    file: 'src/lease/manager/cell.rs',
    from: 'Self { deadline: Field::new(deadline.0), state',
    to: 'Self { deadline: Field::new(deadline.0.saturating_mul(2)), state',
    proof: `${WORLD}::losses::who_cannot_renew_is_warned_and_told_at_the_deadline`,
  },
  {
    name: 'a grant is believed from the answer on',
    file: 'src/lease/desk/change.rs',
    from: 'return Ok(Changed { answer, sent: Some(sent), base });',
    to: 'return Ok(Changed { answer, sent: Some(desk.now().max(sent)), base });',
    proof: BELIEF,
  },
  {
    name: 'a grant at once is believed from the answer on',
    file: 'src/lease/manager/shortcut/steps.rs',
    from: 'return Ok(Some(Taken { token, sent, stale, alone }));',
    to: 'return Ok(Some(Taken { token, sent: time::boot_now().max(sent), stale, alone }));',
    proof: 'lease::manager::shortcut::steps::tests::a_belief_begins_before_the_write_and_not_with_its_answer',
  },
  {
    name: 'a renewal is believed from the answer on',
    file: 'src/lease/keeper/renewal.rs',
    from: 'fn confirm(desk: &Rc<Desk>, line: &Rc<Line>, kept: &[Kept], sent: Nanos) {\n',
    to: 'fn confirm(desk: &Rc<Desk>, line: &Rc<Line>, kept: &[Kept], sent: Nanos) {\n    let sent = desk.now().max(sent);\n',
    proof: BELIEF,
  },
  {
    name: 'a session is believed from the answer on',
    file: 'src/lease/keeper/session.rs',
    from: 'true => session.kept_from(sent),',
    to: 'true => session.kept_from(desk.now().max(sent)),',
    proof: BELIEF,
  },
  {
    name: 'a write that may still land is not burned',
    file: 'src/lease/manager/release.rs',
    from: 'None if is_unsettled => {',
    to: 'None if is_unsettled && was_sent && !was_sent => {',
    proof: `${WORLD}::losses::a_write_that_may_still_land_is_burned`,
  },
  {
    name: 'what is no record of ours counts as free',
    file: 'src/lease/desk/line.rs',
    from: 'let mut record = Record::read(&seen.body, seen.at).map_err(|strange|',
    to: 'let mut record = Record::read(&seen.body, seen.at).or_else(|_| Ok(Record::default())).map_err(|strange|',
    proof: `${AT_ONCE}::what_is_no_record_of_ours_is_never_written_over`,
  },
  {
    name: 'what is no record of ours counts as free for who asks at once',
    file: 'src/lease/manager/shortcut/steps.rs',
    from: 'if seen.version == Version::Absent { Ok(Record::default()) } else { Record::read(&seen.body, seen.at) }',
    to: 'Record::read(&seen.body, seen.at).or_else(|_| Ok(Record::default()))',
    proof: 'lease::manager::shortcut::steps::tests::what_is_no_record_is_left_alone',
  },
  {
    name: 'whoever has a pid that is free here is taken for dead',
    file: 'src/lease/desk/outside.rs',
    from: '&& who.space == space',
    to: '&& !space.is_empty()',
    proof: 'lease::desk::outside::tests::only_a_process_that_can_be_seen_from_here_is_known_to_be_dead',
  },
  {
    name: 'the next in line gets the token of the one before',
    file: 'src/lease/hand_over.rs',
    from: '        settle(&mut record, &nonce, term);\n',
    to: `        record.token = current.token;
        record.holds.iter_mut().for_each(|hold| hold.token = hold.token.min(current.token));
        settle(&mut record, &nonce, term);
`,
    proof: `${WORLD}::hand_over::who_is_handed_the_key`,
  },
  {
    name: 'a place in line that has expired is granted',
    file: 'src/lease/hand_over.rs',
    from: 'let first = current.queue.iter().find(|ticket| !view.is_over(&ticket.term, &ticket.who));',
    to: 'let first = current.queue.first();',
    proof: `${WORLD}::hand_over::who_is_handed_the_key`,
  },
  {
    name: 'a place in line that is nearly over is granted',
    file: 'src/lease/hand_over.rs',
    from: 'if term.session.is_none() && left < term.ttl_ms / 2 {',
    to: 'if term.session.is_none() && left > term.ttl_ms * 2 {',
    proof: `${WORLD}::hand_over::who_is_handed_the_key`,
  },
  {
    name: 'who was handed the key counts from when it heard of it',
    file: 'src/lease/manager/chase.rs',
    from: '(Some(place), _) => (place.renewed.get(), place.until.get()),',
    to: '(Some(_), _) => (self.desk().now(), self.desk().now().plus(ttl)),',
    proof: `${WORLD}::hand_over::who_was_handed_the_key_counts_from_its_place_in_line`,
  },
  {
    name: 'who has died in line stops all behind it',
    file: 'src/lease/rules.rs',
    from: `        if view.is_over(&ticket.term, &ticket.who) {
            continue;
        }
        if !fits(`,
    to: '        if !fits(',
    proof: `${WORLD}::rules::who_gets_what`,
  },
  {
    name: 'what is held on is not taken over',
    file: 'src/lease/manager/shortcut/book.rs',
    from: '        take_over(&shared, due);\n',
    to: '        drop(due);\n',
    proof: `${AT_ONCE}::what_is_held_on_is_kept_by_the_io_thread`,
  },
  {
    name: 'what is held when its manager ends is forgotten',
    file: 'src/lease/manager/shortcut/book.rs',
    from: '    left.into_iter().for_each(|own| adopt(client, own));\n',
    to: '    drop(left);\n',
    proof: `${AT_ONCE}::a_closed_manager_leaves_nothing`,
  },
  {
    name: 'what could be had of several keys is kept',
    file: 'src/lease/manager/several.rs',
    from: '        clear_later(desk, &won.line, &won.nonce, wanted.ttl());\n',
    to: '',
    proof: `${WORLD}::losses::what_could_be_had_of_several_keys_is_given_back`,
  },
  {
    name: 'those who were handed the key are not told',
    file: 'src/lease/manager/release.rs',
    from: 'Write { record, wake: true, alive, gone },',
    to: 'Write { record, wake: false, alive, gone },',
    proof: `${WORLD}::hand_over::a_release_is_the_grant_of_the_next_in_one_write`,
  },
  {
    name: 'those who must take the key themselves are not told',
    file: 'src/lease/desk/change.rs',
    from: 'let wake = !record.queue.is_empty();',
    to: 'let wake = record.queue.len() > MOST_LOST as usize;',
    proof: `${WORLD}::flows::who_must_take_the_key_itself_is_told_that_it_is_free`,
  },
  {
    name: 'places in line are not renewed',
    file: 'src/lease/keeper/renewal.rs',
    from: 'Kept::Place(place) => rules::stay(record, &place.nonce),',
    to: 'Kept::Place(place) => rules::stay(record, &place.nonce).filter(|next| next.v > 99),',
    proof: `${WORLD}::flows::who_waits_for_long_keeps_its_place`,
  },
  {
    name: 'a late answer brings back what was lost',
    file: 'src/lease/keeper/loss.rs',
    from: '    if !lease.is_held(now) {\n        // Too late',
    to: '    if lease.ttl == Nanos(0) && !lease.is_held(now) {\n        // Too late',
    proof: `${WORLD}::losses::what_was_lost_while_its_process_was_stopped_stays_lost`,
  },
  {
    name: 'a steal takes whatever is held now',
    file: 'src/lease/rules.rs',
    from: 'living(record, view).any(|hold| hold.token == token)',
    to: 'living(record, view).any(|hold| hold.token > 0)',
    proof: `${WORLD}::rules::who_gets_what`,
  },
  {
    name: 'after an expiry the key is had at once',
    file: 'src/lease/rules.rs',
    from: 'if hold.delay_ms == 0 { 0 }',
    to: 'if hold.delay_ms < u64::MAX { 0 }',
    proof: `${WORLD}::losses::an_expiry_keeps_the_key_closed_for_the_delay`,
  },
  {
    name: 'a write without an answer is taken for one that was never sent',
    file: 'src/lease/manager/chase.rs',
    from: '=> self.is_unsettled = true,',
    to: '=> self.is_unsettled = false,',
    proof: `${WORLD}::losses::a_write_that_may_still_land_is_burned`,
  },
  {
    name: 'who gives up while it looks forgets that it may have been handed the key',
    file: 'src/lease/manager/chase.rs',
    from: 'let has_looked = !self.wanted.cancel.is_given_up();',
    to: 'let has_looked = true;',
    proof: `${WORLD}::silent::what_was_handed_over_while_it_gave_up_is_given_back`,
  },
  {
    name: 'nobody notes from what the tokens count',
    file: 'src/lease/desk/change.rs',
    from: 'record.note_base(known.record.token, known.base);',
    to: 'record.note_base(known.record.token, 0);',
    proof: `${WORLD}::restarts::what_outlives_a_restart_has_one_token_for_everybody`,
  },
  {
    name: 'a grant that is found in the record is believed from then on',
    file: 'src/lease/manager/chase.rs',
    from: 'let sent = sent.or(self.waiter.sent.get());',
    to: 'let sent = sent.or(Some(self.desk().now()));',
    proof: SCHEDULES,
  },
  {
    name: 'a grant under a session that is no longer ours counts',
    file: 'src/lease/manager/decide.rs',
    from: 'if hold.is_some_and(|hold| hold.term.session != ask.session) {',
    to: 'if hold.is_some_and(|hold| hold.token == 0 && hold.term.session != ask.session) {',
    proof: SCHEDULES,
  },
  {
    name: 'who stands in line elsewhere is not told of a release at once',
    file: 'src/lease/manager/shortcut/steps.rs',
    from: 'next.filter(|next| next.queue.is_empty())',
    to: 'next.filter(|next| next.v < 99)',
    proof: `${AT_ONCE}::who_stands_in_line_elsewhere_is_not_passed_over`,
  },
  {
    name: 'who waits in this process is not told of a release at once',
    file: 'src/lease/manager/shortcut/mod.rs',
    from: '        if waiting.load(Ordering::Relaxed) > 0 {',
    to: '        if waiting.load(Ordering::Relaxed) == u64::MAX {',
    proof: `${AT_ONCE}::while_somebody_waits_here_everything_is_the_io_threads`,
  },
]

module.exports = { SCRIPTED, PROOFS: [...RULES, ...STORES] }
