// The bugs of leases, planted as those in bugs.js. Most of them are about what happens when answers are lost, clients
// stop or stores end something by themselves: the simulated world of the Rust tests sees that in moments, so what they
// are to be caught by is a Rust test (`proof`), at some stores with its server (`engine`).
'use strict'

const WORLD = 'tests::lease'
const AT_ONCE = `${WORLD}::at_once`
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
    from: 'Nonce(format!("{:016x}{:016x}", self.prefix ^ chance.u64(..), chance.u64(..)).into())',
    to: 'chance.u64(..);\n        Nonce(self.who.worker.clone())',
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
    from: 'return Ok(Some(Taken { token: record.token + written.base, sent, stale }));',
    to: 'return Ok(Some(Taken { token: record.token + written.base, sent: time::boot_now().max(sent), stale }));',
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
    from: 'let record = Record::read(&seen.body, seen.at).map_err(|strange|',
    to: 'let record = Record::read(&seen.body, seen.at).or_else(|_| Ok(Record::default())).map_err(|strange|',
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
]

/** Bugs in the stores, and in what is said of them. */
const STORES = [
  {
    name: 'SQLite: a write at once does not compare versions',
    file: 'src/lease/stores/sqlite/shortcut.rs',
    from: 'WHERE id = ?1 AND version = ?2"',
    to: 'WHERE id = ?1 AND ?2 > 0"',
    proof: `${AT_ONCE}::a_record_that_others_have_moved_is_read_anew`,
  },
  {
    name: 'SQLite: the time of another boot counts',
    file: 'src/lease/stores/sqlite/clock.rs',
    from: 'Ok(at.saturating_add(ANOTHER_BOOT))',
    to: 'Ok(self.now().max(at).min(ANOTHER_BOOT))',
    proof: 'lease::stores::sqlite::tests::rows_of_another_boot_are_old_and_those_of_another_clock_are_refused',
  },
  {
    name: 'Redis: the script does not compare what was seen',
    file: 'src/lease/stores/redis/script.rs',
    from: "if (value and sub(value, 1, 28) or '') ~= want or value == '' then",
    to: "if value == '' or want == nil then",
    proof: 'lease::stores::redis::tests::conforms',
    engine: 'redis',
  },
  {
    name: 'Redis: tokens that a snapshot does not know are given again',
    file: 'src/lease/stores/redis/script.rs',
    from: 'if value and sub(value, 47, 54) == run then',
    to: 'if value then',
    proof: 'lease::stores::redis::tests::tokens::tokens_that_a_snapshot_does_not_know_are_not_given_again',
    engine: 'redis',
  },
  {
    name: 'PostgreSQL: a write does not compare versions',
    file: 'src/lease/stores/postgres/sql.rs',
    from: 'AND l.version = $4 RETURNING l.version',
    to: 'AND l.version >= 0 * $4 RETURNING l.version',
    proof: 'lease::stores::postgres::tests::does_what_every_store_must_do',
    engine: 'postgres',
  },
  {
    name: 'etcd: a write does not compare revisions',
    file: 'src/lease/stores/etcd/wire.rs',
    from: '"key": key, "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string(),',
    to: '"key": key, "target": "MOD", "result": "GREATER", "mod_revision": (revision.min(1) as i64 - 1).to_string(),',
    proof: 'lease::stores::etcd::tests::it_does_what_every_store_must',
    engine: 'etcd',
  },
  {
    name: 'etcd: whether a session lives is not asked',
    file: 'src/lease/stores/etcd/wire.rs',
    from: '    conditions.extend(alive.iter().map(|session| guard(session, "GREATER")));\n',
    to: '    let _ = alive;\n',
    proof: 'lease::stores::etcd::tests::it_does_what_every_store_must',
    engine: 'etcd',
  },
  {
    name: 'GitHub: a ref is forced',
    file: 'src/lease/stores/github/moves.rs',
    from: `                    "beforeOid": oid(&one.before),
                    "afterOid": oid(&one.after),
                    // What is removed has no successor; it is compared all the same.
                    "force": one.after.is_none(),`,
    to: '                    "afterOid": oid(&one.after),\n                    "force": true,',
    proof: 'lease::stores::github::tests::it_does_what_every_store_does',
    engine: 'github',
  },
  {
    name: 'GitHub: a ref is forced by REST',
    file: 'src/lease/stores/github/moves.rs',
    from: '"sha": after, "force": false',
    to: '"sha": after, "force": true',
    proof: 'lease::stores::github::tests::it_does_so_by_rest_alone',
    engine: 'github',
  },
  {
    name: 'an answer that did not come is taken for a no',
    file: 'src/lease/stores/redis/errors.rs',
    from: 'Doing::Write => StoreError::Unknown(why.to_owned()),',
    to: 'Doing::Write => StoreError::Unavailable { why: why.to_owned(), retry_after: None },',
    proof: 'lease::stores::redis::tests::faults::a_server_that_hangs_leaves_a_write_open',
    engine: 'redis',
  },
  {
    name: 'an error repeats the address',
    file: 'src/lease/address_text.rs',
    from: '        _ => return Err(malformed("no engine has this scheme")),',
    to: '        _ => return Err(malformed(format!("no engine has the scheme of {text}"))),',
    proof: 'lease::address_text::tests::what_is_malformed_is_refused_without_its_secret',
  },
  {
    name: 'a store is shown with its password',
    file: 'src/lease/address.rs',
    from: 'format!("{scheme}{tls}://{}:{}", at.host, at.port)',
    to: 'format!("{scheme}{tls}://{}{}:{}", at.password.as_ref().map_or("", Secret::expose), at.host, at.port)',
    proof: 'lease::address_text::tests::every_form_is_understood',
  },
  {
    name: 'a password is in debug output',
    file: 'src/lease/address.rs',
    from: 'f.write_str("Secret(…)")',
    to: 'f.write_str(self.expose())',
    proof: 'lease::http::tests::no_debug_output_has_a_secret',
  },
]

module.exports = { SCRIPTED, PROOFS: [...RULES, ...STORES] }
