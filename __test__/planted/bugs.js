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
  {
    name: 're-entrant siblings are inside at the same time',
    file: 'lib/locks/parts.js',
    from: ' || isOnTop(frame)\n',
    to: ' || frame.base.open\n',
    suite: 'locks-no-deadlock.test.js',
    test: 'siblings under Promise.all exclude each other: a counter over awaits is exact',
  },
  {
    name: 'a request does not say inside of which holds it is made',
    file: 'lib/locks/frames.js',
    from: 'return count <= MOST_ANCESTORS ? count : Math.min(put(true), MOST_ANCESTORS)',
    to: 'return 0 * count',
    suite: 'locks-deadlock.test.js',
    test: 'of two names: the youngest request is refused, the other goes on',
  },
  {
    name: 'a forgotten guard goes on holding',
    file: 'lib/locks/collected.js',
    from: 'if (!release(slot, token, 0)) return',
    to: 'if (!release) return',
    suite: 'locks-collected.test.js',
    test: 'of tryAcquire is released and reported with name and label',
  },
  {
    name: 'a request for a named lock does not keep the process alive',
    file: 'lib/locks/waiters.js',
    from: '  isKept = true\n  native.keepAlive(face, true)',
    to: '  isKept = true',
    suite: 'locks-exits.test.js',
    test: 'keeps the process alive until it is granted, timed out or aborted',
  },
]

/** Bugs in the native code; each costs a build. */
const NATIVE = [
  {
    name: 'a file takes its name before it is synced',
    file: 'src/atomic_file/writer.rs',
    from: "            self.doors.sync(&temp.file).map_err(at(\"fsync\"))?;\n",
    to: '',
    suite: 'files-faults.test.js',
    test: 'a durable write: what is synced, and when',
  },
  {
    name: 'the directory is not synced',
    file: 'src/atomic_file/writer.rs',
    from: 'self.doors.sync_dir(&self.place.dir).map_err(at("fsync"))',
    to: 'Ok::<(), Trouble>(())',
    suite: 'files-faults.test.js',
    test: 'a durable write: what is synced, and when',
  },
  {
    name: 'what a living process writes is taken for a dead one’s',
    file: 'src/atomic_file/temp.rs',
    from: 'if doors.try_lock(&file) != Ok(true) {',
    to: 'if doors.try_lock(&file).is_err() {',
    suite: 'files.test.js',
    test: 'what a killed process has begun, also twenty times at once, the next write removes',
  },
  {
    name: 'a torn addition is left as it is',
    file: 'src/atomic_file/append.rs',
    from: 'Ok(!is_whole)',
    to: 'Ok(is_whole && false)',
    suite: 'files-append.test.js',
    test: 'a torn end is cut off, once, and only if the file is still the same',
  },
  {
    name: 'additions are not kept apart',
    file: 'src/atomic_file/append.rs',
    from: 'Ok(false) => return Err(busy()),',
    to: 'Ok(false) => {}',
    suite: 'files-append.test.js',
    test: 'four processes: every entry is there once, whole and in order',
  },
  {
    name: 'missing token check',
    file: 'src/send/answers.rs',
    from: 'Which::Token(token) => holder.token == token,',
    to: 'Which::Token(token) => holder.token >= token,',
    suite: 'guards.test.js',
    test: 'its old token stays refused when somebody else holds',
  },
  {
    name: 'missing cleanup hook',
    file: 'src/binding/thread.rs',
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
  {
    name: 'a grant is decided and recorded in two steps',
    file: 'src/local/locks.rs',
    from: '        let part = Part { resource, weight };\n        book.try_hold(',
    to: `        let part = Part { resource, weight };
        if !book.would_be_first(&[part], 0) || !book.fits(&[part]) {
            return None;
        }
        drop(book);
        let mut book = self.book.lock();
        return Some(book.hold_at_once(bare(caller, Parts::One(part), extra(label, None, &[]), now), now));
        #[allow(unreachable_code)]
        book.try_hold(`,
    suite: 'locks-threads.alone.test.js',
    test: 'is exact after 1000000 grants of tryAcquire, acquire and withLock in 4 threads',
  },
  {
    name: 'an abort leaves the queue of a named lock unprocessed',
    file: 'src/local/book.rs',
    from: '        self.serve_all(&claim.parts, now);\n        Some(claim)',
    to: '        Some(claim)',
    suite: 'locks-waiting.test.js',
    test: 'of an exclusive request lets the shared ones behind it in',
  },
  {
    name: 'a lost wake-up: a thread that was woken once is taken for awake',
    file: 'src/binding/mailbox.rs',
    from: '                inside.woken = false;\n',
    to: '',
    suite: 'locks-threads.alone.test.js',
    test: '250 waiters on each of 100 locks from 8 threads: no wake-up is lost, tokens grow',
  },
  {
    name: 'the reader behind a reader is not woken with it',
    file: 'src/local/book.rs',
    from: '                self.grant(slot, now);\n',
    to: '                self.grant(slot, now);\n                break;\n',
    suite: 'locks-acquire.test.js',
    test: 'readers that arrive together go together; the writer between them waits for the first, the last for it',
  },
  {
    name: 'a reader overtakes a waiting writer',
    file: 'src/local/book.rs',
    from: 'if would_overtake || !resource.fits(units(part.weight)) {',
    to: 'if !resource.fits(units(part.weight)) {',
    suite: 'locks-acquire.test.js',
    test: 'no reader overtakes a waiting writer, by whatever call',
  },
  {
    name: 'a dead thread keeps its places in line',
    file: 'src/local/locks.rs',
    from: 'for &(slot, _) in gone.iter().filter(|(_, state)| *state != State::Held) {',
    to: 'for &(slot, _) in gone.iter().filter(|(_, state)| *state == State::Outside) {',
    suite: 'locks-departures.alone.test.js',
    test: 'terminate idle, waiting: 20 deaths',
  },
  {
    name: 'a lock file is removed when it is given back',
    file: 'src/host/state.rs',
    from: 'file.note_release();\n        }\n',
    to: 'file.note_release();\n        }\n        let _ = std::fs::remove_file(file.path());\n',
    suite: 'host-files.test.js',
    test: 'nothing: it stays the same file, whoever takes it and gives it back',
  },
  {
    name: 'whoever has the pid of the holder is taken for it',
    file: 'src/sys/process/linux.rs',
    from: 'if stat.start != who.start => Life::Dead,',
    to: 'if stat.start == u64::MAX => Life::Dead,',
    suite: 'host-storms.alone.test.js',
    test: 'is not taken for the holder that had it',
  },
  {
    name: 'programs inherit the lock file',
    file: 'src/sys/file_lock/linux.rs',
    from: 'libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC',
    to: 'libc::O_RDWR | libc::O_NOFOLLOW',
    suite: 'host-crowd.alone.test.js',
    test: 'programs of a killed process live on without its lock',
  },
  {
    name: 'a held lock file that is cut short is opened anew',
    file: 'src/host/state.rs',
    from: 'self.is_in_use() || !file.is_damaged()',
    to: '!file.is_damaged()',
    suite: 'host-files.test.js',
    test: 'truncated to nothing while it is held: the holder goes on and stays the only one',
  },
]

module.exports = { SCRIPTED, NATIVE }
