// Staged failures: what is full, and what cannot be looked at.
'use strict'

const fs = require('node:fs')
const { whyNot } = require('./tools')

async function fillsTheLine({ chainlock }) {
  chainlock.configureSendLock({ layers: 'any' })
  globalThis.kept = await chainlock.acquireSendLock('star')
  const ask = () => chainlock.acquireSendLock('fan')
  for (let waiting = 0; waiting < 10_000; waiting++) ask().catch(() => {})
  await ask().catch(({ code }) => console.log(code))
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function fillsTheTable({ chainlock: { locks } }) {
  globalThis.kept = []
  for (let count = 0; count < 4_200; count++) kept.push(await locks.acquire(`row ${count}`))
  console.log('ready')
  setInterval(() => {}, 1_000)
}

async function hides({ chainlock: { locks } }) {
  globalThis.kept = await locks.acquire('hidden')
  console.log('ready')
  setInterval(() => {}, 1_000)
}

const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
/** More rights than other processes of its user: these may not look into it. */
const WITH_RIGHTS = [...NOBODY, '--inh-caps=+net_bind_service', '--ambient-caps=+net_bind_service']
const OTHER_PIDS = ['unshare', '--pid', '--fork', '--kill-child']

/** The process that a command in front of the program has started. */
const childOf = (pid) => Number(fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'))

module.exports = {
  'queue full': {
    program: fillsTheLine,
    tells: { rule: 'FULL', level: 'warn', lock: 'send', says: /10000 requests wait[^]*held for .* by layer star/ },
  },
  'table full': {
    program: fillsTheTable,
    tells: { rule: 'FULL', level: 'warn', lock: null, says: /has 4200 locks of 4096 that its table shows/,
      next: (pid) => `chainlock status --all --pid ${pid}` },
  },
  permission: {
    skip: whyNot(...WITH_RIGHTS, 'true'),
    program: hides,
    command: WITH_RIGHTS,
    then: () => ({ everywhere: true, as: NOBODY }),
    tells: { rule: 'UNSEEN', level: 'warn', lock: null, says: /cannot be looked at: its memory may not be read/,
      next: (pid) => `sudo chainlock status --pid ${pid}` },
  },
  'other pid namespace': {
    skip: whyNot(...OTHER_PIDS, 'true'),
    program: hides,
    command: OTHER_PIDS,
    then: ({ child }) => ({ everywhere: true, pid: childOf(child.pid) }),
    tells: { rule: 'UNSEEN', level: 'warn', lock: null, says: /cannot be looked at: it runs in another container/,
      next: (pid) => `nsenter --target ${pid} --pid --mount chainlock status` },
  },
}
