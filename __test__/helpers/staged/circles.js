// Staged failures: flows of one process that wait for each other, or for themselves.
'use strict'

/** Each of `data` flows takes its lock, waits until all have theirs, and asks for the next one's. */
function ring({ chainlock: { locks }, data: size }) {
  let [inside, open] = [0, () => {}]
  const all = new Promise((resolve) => (open = resolve))
  for (let at = 0; at < size; at++) {
    locks.request(`r${at}`, async () => {
      if (++inside === size) open()
      await all
      await locks.request(`r${(at + 1) % size}`, () => {})
    })
  }
  all.then(() => console.log('ready'))
  setInterval(() => {}, 1_000)
}

async function upgrade({ chainlock: { locks } }) {
  const hold = (label) => locks.acquire('book', { mode: 'shared', label })
  const [first, second] = (globalThis.kept = [await hold('first'), await hold('second')])
  first.upgrade({ timeoutMs: Infinity }).catch(() => {})
  await second.upgrade({ timeoutMs: Infinity }).catch(({ code }) => console.log(code))
  console.log('ready')
  setInterval(() => {}, 1_000)
}

function self({ chainlock: { locks } }) {
  locks.withLock('self', { label: 'outer' }, async () => {
    await locks.acquire('self', { label: 'inner' }).catch(({ code }) => console.log(code))
    console.log('ready')
    await new Promise(() => setInterval(() => {}, 1_000))
  })
}

async function inversion({ chainlock: { locks } }) {
  locks.configure({ lockOrder: 'warn' })
  await locks.withLock('store', () => locks.withLock('index', () => {}))
  await locks.withLock('index', () => locks.withLock('store', () => {}))
  console.log('ready')
  setInterval(() => {}, 1_000)
}

/** @param {number} size */
const circle = (size) => ({
  program: ring,
  data: size,
  tells: { rule: 'DEADLOCK', level: 'bad', lock: /^r\d$/, says: new RegExp(`deadlock of ${size}:[^]*which is held by`) },
})

module.exports = {
  ABBA: circle(2),
  'ring of 5': circle(5),
  upgrade: {
    program: upgrade,
    tells: { rule: 'DEADLOCK', level: 'warn', lock: 'book', says: /by "second" was refused[^]*held for .* by "first"/ },
  },
  self: {
    program: self,
    tells: { rule: 'DEADLOCK', level: 'warn', lock: 'self', says: /by "inner" was refused[^]*held for .* by "outer"/ },
  },
  'order inversion': {
    program: inversion,
    tells: { rule: 'ORDER', level: 'warn', lock: 'store', says: /"store" and "index" are taken in both orders/ },
  },
}
