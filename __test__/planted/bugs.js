// The bugs that are planted, one at a time, and the test that has to see each. `from` occurs once in the file.
'use strict'

/** Bugs in the JavaScript. */
const SCRIPTED = [
  {
    name: 'siblings join at the same time',
    file: 'lib/nesting.js',
    from: 'const isOnTop = (frame) => frame.hold.top === frame',
    to: 'const isOnTop = (frame) => frame.hold.open',
    suite: 'nesting.test.js',
    test: 'siblings under Promise.all exclude each other: a counter over awaits is exact',
  },
  {
    name: 'an abort does not reach the line',
    file: 'lib/waiters.js',
    from: 'if (!calls.cancel(ticket)) return',
    to: 'calls.holds(ticket)',
    suite: 'waiting.test.js',
    test: 'in the same tick leaves the line at once',
  },
  {
    name: 'a failed message counts as sent',
    file: 'lib/send-lock.js',
    from: 'guard.release({ sent })',
    to: 'guard.release({ sent: true })',
    suite: 'waiting.test.js',
    test: 'a message of a function that failed counts as not sent, of one that succeeded as sent',
  },
  {
    name: 'a second copy keeps its own lock',
    file: 'lib/native.js',
    from: 'return own.adopt() ?? own',
    to: 'return own',
    suite: 'threads.test.js',
    test: 'a second copy of the package at another path',
  },
  {
    name: 'the signal of a lost guard does not abort',
    file: 'lib/guard.js',
    from: 'this.#controller?.abort(',
    to: 'void (',
    suite: 'guards.test.js',
    test: 'aborts the signal with ERR_LOCK_LOST',
  },
  {
    name: 'a request in line does not keep the process alive',
    file: 'lib/waiters.js',
    from: 'if (waiting === (change === 1 ? 1 : 0)) native.keepAlive(face, change === 1)',
    to: '',
    suite: 'exits.test.js',
    test: 'a request in line does, until it is granted',
  },
  {
    name: 'events of before are told again',
    file: 'lib/events.js',
    from: '  last = news.last\n',
    to: '',
    suite: 'events.test.js',
    test: 'tells of other threads, in the order in which things happened',
  },
]

/** Bugs in the native code; each costs a build. */
const NATIVE = [
  {
    name: 'missing token check',
    file: 'src/send/lock.rs',
    from: 'Which::Token(token) => holder.token == token,',
    to: 'Which::Token(token) => holder.token >= token,',
    suite: 'guards.test.js',
    test: 'its old token stays refused when somebody else holds',
  },
  {
    name: 'missing cleanup hook',
    file: 'src/binding/face.rs',
    from: 'PROCESS.depart(row);',
    to: 'let _ = row;',
    suite: 'departures.alone.test.js',
    test: 'process.exit, holding: 28 deaths',
  },
  {
    name: 'cooldown on the wall clock',
    file: 'src/time.rs',
    from: 'pub fn now() -> Nanos {\n',
    to: `pub fn now() -> Nanos {
    static WALL_ORIGIN: Lazy<f64> = Lazy::new(epoch_ms);
    let origin = *WALL_ORIGIN;
    if origin > 0.0 {
        return Nanos(START + ((epoch_ms() - origin) * PER_MS as f64) as u64);
    }
`,
    suite: 'clocks.alone.test.js',
    test: 'jumps by +1h in the middle',
  },
  {
    name: 'held before cooldown',
    file: 'src/send/rules.rs',
    from: 'let verdict = if let Some(left) = cooldown_left(rules, &state, now) {',
    to: 'let verdict = if state.hold.is_some() {\n        Verdict::Refuse(Refusal::Held)\n    } else if let Some(left) = cooldown_left(rules, &state, now) {',
    suite: 'send-lock.test.js',
    test: 'cooldown before held',
  },
  {
    name: 'no native timer',
    file: 'src/binding/timer.rs',
    from: 'if at.0 < ARMED.load(Ordering::Relaxed) {',
    to: 'if at.0 == 0 && at.0 < ARMED.load(Ordering::Relaxed) {',
    suite: 'guards.test.js',
    test: 'is seen by check() in the first instruction after a blocked event loop',
  },
  {
    name: 'the last in line is served first',
    file: 'src/local/queue.rs',
    from: 'let place = self.head?;\n        let ticket',
    to: 'let place = self.tail?;\n        let ticket',
    suite: 'threads.test.js',
    test: 'the line is one: first come, first served over four threads',
  },
  {
    name: 'bidirectional characters pass',
    file: 'src/name.rs',
    from: "'\\u{2028}'..='\\u{202e}'",
    to: "'\\u{2028}'..='\\u{2029}'",
    suite: 'clean-text.test.js',
    test: '240 known sequences',
  },
  {
    name: 'a held lock is taken all the same',
    file: 'src/send/rules.rs',
    from: '} else if state.hold.is_some() {',
    to: '} else if state.hold.is_some_and(|hold| hold.overdue) {',
    suite: 'threads.test.js',
    test: 'exclusion: an unprotected counter, through the fast path',
  },
]

module.exports = { SCRIPTED, NATIVE }
