// S6: what a process has in its environment is told nowhere, and what is in its arguments only where its command line
// is shown on purpose: not in the journal, the tables, metrics, traces, views, or what errors say.
'use strict'

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const { folder } = require('./helpers/folders')
const { linkOf } = require('./helpers/host-kernel')
const { runCli } = require('./helpers/cli')
const { startNode, said } = require('./helpers/processes')

const IN_ENV = 'canary-env-5f1c'
const IN_ARGS = 'canary-arg-77ab'

/** Does something with every kind of lock, and meets errors; says what each of them and a report of Node says. */
async function busy({ chainlock, data: { journal } }) {
  const { inspect } = require('node:util')
  const { locks, hostLock, registry, trySend, configureSendLock, openJournal } = chainlock
  const written = openJournal({ path: journal })
  configureSendLock({ layers: 'any' })
  trySend('agent')
  registry.register({ id: 'job', command: 'build' })
  globalThis.kept = [locks.tryAcquire('index', { label: 'rebuild' }), await hostLock('secrets').acquire()]
  const faults = [
    () => locks.acquire('index', { timeoutMs: 1 }),
    () => openJournal({ path: '/dev/null/x', readOnly: true }),
    () => locks.acquire(''),
    () => hostLock('secrets').acquire({ timeoutMs: 1 }),
  ]
  for (const fault of faults) {
    await Promise.resolve().then(fault).then(() => {}, (error) => console.log(inspect(error, { depth: 9 }), error.stack))
  }
  await written.flush()
  console.log('ready')
  setInterval(() => {}, 1_000)
}

test('what is in the environment and in arguments stays there', { timeout: 280_000 }, async (t) => {
  const home = folder(t)
  const journal = path.join(home, 'journal')
  const env = { XDG_RUNTIME_DIR: home, API_TOKEN: IN_ENV }
  // An option of Node that means nothing, as a stand-in for a program's own arguments.
  const started = startNode(busy, { journal }, { env, nodeArgs: [`--title=${IN_ARGS}`] })
  t.after(() => started.child.kill('SIGKILL'))
  await said(started, 'ready')
  const pid = `${started.child.pid}`

  const told = { 'stdout of the process': started.output.stdout, 'stderr of the process': started.output.stderr }
  const commands = [
    ['status', '--pid', pid], ['why', 'index'], ['doctor'], ['metrics', '--pid', pid], ['history', '--journal', journal],
    ['trace', '--journal', journal], ['status', '--json', '--pid', pid], ['doctor', '--json'], ['release', 'index'],
    ['monitor', '--once', '--pid', pid], ['monitor', '--once', '--json', '--pid', pid], ['nonsense'],
  ]
  for (const args of commands) {
    const { stdout, stderr } = await runCli(args, { env })
    told[args.join(' ')] = stdout + stderr
  }
  for (const name of fs.readdirSync(home, { recursive: true })) {
    const file = path.join(home, name)
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) told[`file ${name}`] = fs.readFileSync(file, 'latin1')
  }
  if (process.platform === 'linux') {
    for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
      const file = `/proc/${pid}/fd/${fd}`
      const target = linkOf(file)
      if (/memfd:chainlock/.test(target)) told[target] = fs.readFileSync(file, 'latin1')
    }
    assert.ok(Object.keys(told).filter((name) => name.includes('memfd:chainlock')).length >= 2)
  }
  assert.ok(told['file journal'].length > 0 && told[`status --pid ${pid}`].includes('index'), 'there was something to look into')
  const hits = (secret) => Object.keys(told).filter((name) => told[name].includes(secret))
  assert.deepEqual(hits(IN_ENV), [])
  // The command line tells people which process it is: in views, in a host lock's file, and to who meets its holder. It is
  // in no journal, no table, no figure and no trace.
  const shown = hits(IN_ARGS).filter((name) => !/^(status|why|doctor|release|monitor)\b/.test(name))
  assert.deepEqual(shown.sort(), ['file chainlock/secrets.lock', 'stdout of the process'])
})
