// The demo: a chain loop whose three layers all answer every response of a session, first without the send
// lock and then with it. See README.md.
'use strict'

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { untilSeen } = require('./chain.js')
const { inProcesses, sayKills } = require('./processes.js')
const { progressLine, say, sayBooks, sayComparison, sayLayers } = require('./report.js')
const { runChain } = require('./run.js')
const { BlockedEvents, disagreements, REASONS } = require('./tally.js')
const { readTasks } = require('./tasks.js')
const { ensureTmux, tmuxVersion } = require('./tmux.js')
const { compareCopies, makeSecondCopy } = require('./two-copies.js')

const HELP = `Usage: node examples/chain-loop/main.js [options]

Drives a list of instructions through a chain loop of three layers, without the send lock and with it,
and counts what the session received. Exit code 0: without the lock there were duplicates, with it every
instruction arrived exactly once. 1: otherwise. 2: wrong options or task file.

  --tasks FILE   the task list, JSON (default: tasks.json beside this program)
  --processes    run each layer in a process of its own, with one lock for all of them, and kill two of
                 them by SIGKILL while they hold it
  --no-tmux      use a child process instead of a tmux pane, as where tmux cannot be had
  --help         show this text`

const COOLDOWN_MS = 200
const USUAL_COOLDOWN_MS = 2_000
const DEDUP_WINDOW_MS = 600_000

/** What to undo when the demo ends, however it ends. */
const cleanup = {
  steps: [],
  add(step) {
    this.steps.push(step)
  },
  run() {
    while (this.steps.length > 0) this.steps.pop()()
  },
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        tasks: { type: 'string' },
        processes: { type: 'boolean' },
        'no-tmux': { type: 'boolean' },
        help: { type: 'boolean' },
      },
    })
    if (values.help) return { help: true }
    const file = values.tasks ?? path.join(__dirname, 'tasks.json')
    return { tasks: readTasks(file), useTmux: !values['no-tmux'], useProcesses: values.processes === true }
  } catch (error) {
    return { error: error.message }
  }
}

function chooseTerminal(useTmux) {
  if (useTmux && ensureTmux(say)) {
    say(`The session runs in a real tmux pane (${tmuxVersion()}, on a server of its own).`)
    return 'tmux'
  }
  const why = useTmux ? 'No tmux' : 'No tmux wanted'
  say(`${why}: the session runs in a child process and receives by its standard input.`)
  return 'pipe'
}

function makeDirectory() {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'chain-loop-'))
  cleanup.add(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

async function introduceCopies(firstCopy, secondCopy) {
  const { addons, token, cooldownMs, isOneLock } = await compareCopies(firstCopy, secondCopy)
  say(`Two copies of the package, ${addons.length} native libraries in this process:`)
  say(`  first   ${firstCopy}   (executor, window monitor)`)
  say(`  second  ${secondCopy}   (chain-loop monitor)`)
  say(`  cooldown set by the first, read by the second: ${cooldownMs} ms (shortened from ${USUAL_COOLDOWN_MS} ms)`)
  const answer = isOneLock ? 'yes' : 'NO'
  say(`  a hold of the second in a worker (token ${token}) is seen and respected by the first: ${answer}`)
  return isOneLock
}

async function runWithout(setting) {
  say()
  say('Without the lock: each of the three layers sends as soon as it notices an answer')
  const none = path.join(__dirname, 'without-lock.js')
  const lockModules = { 'e2e-executor': none, 'window-monitor': none, 'chain-loop-monitor': none }
  const drive = setting.scope ? inProcesses({ scope: null, kills: [] }) : undefined
  const run = await runChain({ ...setting, drive, name: 'without', lockModules })
  sayLayers(run.tally, null)
  return run
}

async function runWith(setting, lock, firstCopy, secondCopy) {
  say()
  say('With the lock: the same layers, the same tasks')
  lock.resetMetrics()
  const events = new BlockedEvents(lock)
  const lockModules = {
    'e2e-executor': firstCopy,
    'window-monitor': firstCopy,
    'chain-loop-monitor': secondCopy,
  }
  const kills = setting.scope ? plannedKills(setting.tasks) : []
  const drive = setting.scope ? inProcesses({ scope: setting.scope, kills }) : undefined
  const run = await runChain({ ...setting, drive, name: 'with', lockModules })
  const metrics = lock.getMetrics()
  await untilEventsAreIn(events, metrics)
  sayLayers(run.tally, events)
  const problems = disagreements(metrics, run.tally, events, kills)
  sayBooks(metrics, problems)
  sayKills(kills)
  return { ...run, problems, spared: kills.filter((kill) => !kill.layer).length }
}

/** Once before the holder has sent, once after: neither may double or lose the message. */
function plannedKills(tasks) {
  const at = (share) => Math.floor(tasks.length * share)
  return [{ index: at(1 / 3), when: 'before' }, { index: at(2 / 3), when: 'after' }]
}

/** Events come through the event loop, a little after the fact; one that never comes shows as a disagreement. */
async function untilEventsAreIn(events, { refusedByReason }) {
  const areIn = () => REASONS.every((reason) => events.total(reason) >= refusedByReason[reason])
  await untilSeen(areIn, AbortSignal.timeout(1_000)).catch(() => {})
  events.stop()
}

function verdict(isOneLock, without, withLock) {
  const { instructions, once, received } = withLock.deliveries
  const failures = [
    [!isOneLock, 'the two copies of the package did not share one lock'],
    [without.deliveries.duplicated === 0, 'nothing was duplicated without the lock: this run shows nothing'],
    [withLock.isStalled, 'with the lock the chain came to a halt'],
    [once !== instructions, `with the lock ${instructions - once} of ${instructions} did not arrive exactly once`],
    [received !== instructions, `with the lock ${received} messages arrived for ${instructions} instructions`],
    [!withLock.deliveries.screenAgrees, 'screen and transcript of the session disagree'],
    [withLock.spared > 0, 'a layer that was to be killed while it held the lock was not'],
    [withLock.problems.length > 0, "the lock's own books disagree with the layers"],
  ]
  return failures.filter(([failed]) => failed).map(([, text]) => text)
}

/** One lock for all processes; in the demo's own directory, so that it leaves nothing behind. */
function shareLock(lock, directory) {
  process.env.XDG_RUNTIME_DIR = directory
  const scope = { scope: 'host', name: 'chain-loop' }
  lock.configureSendLock(scope)
  say('Each layer runs in a process of its own, with one send lock for all:')
  say(`  configureSendLock({ scope: 'host', name: '${scope.name}' }), settings by the demo (process ${process.pid})`)
  return scope
}

async function demonstrate({ tasks, useTmux, useProcesses }) {
  const firstCopy = require.resolve('chainlock')
  const lock = require(firstCopy)
  const directory = makeDirectory()
  const secondCopy = useProcesses ? firstCopy : makeSecondCopy(firstCopy, directory)
  lock.configureSendLock({ cooldownMs: COOLDOWN_MS, dedupWindowMs: DEDUP_WINDOW_MS })

  say(`chainlock ${lock.version}: ${tasks.length} instructions, three layers, one session`)
  const terminalKind = chooseTerminal(useTmux)
  const scope = useProcesses ? shareLock(lock, directory) : null
  const isOneLock = useProcesses || (await introduceCopies(firstCopy, secondCopy))
  const setting = { scope, tasks, directory, terminalKind, cleanup, onAnswer: progressLine(tasks) }
  const without = await runWithout(setting)
  const withLock = await runWith(setting, lock, firstCopy, secondCopy)

  say()
  sayComparison(without, withLock)
  const failures = verdict(isOneLock, without, withLock)
  say()
  for (const failure of failures) say(`FAILED: ${failure}`)
  if (failures.length > 0) return 1
  say(`OK: with the lock every one of the ${tasks.length} instructions arrived exactly once.`)
  return 0
}

function endOnSignals() {
  for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) {
    process.once(signal, () => process.exit(code))
  }
}

async function main() {
  const options = readOptions()
  if (options.help) return say(HELP)
  if (options.error) {
    process.stderr.write(`${options.error}\nTry --help.\n`)
    process.exitCode = 2
    return
  }
  endOnSignals()
  process.on('exit', () => cleanup.run())
  process.exitCode = await demonstrate(options)
}

main().catch((error) => {
  process.stderr.write(`\nThe demo failed: ${error.stack}\n`)
  process.exit(1)
})
