// What the demo says while it runs and at its end, and whether it kept its promise.
'use strict'

const { version } = require('chainlock/package.json')

const say = (text = '') => console.log(text)
const plain = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

function sayStart({ tasks, workers, store, ttlMs }) {
  say(`chainlock ${version}: ${tasks} tasks, ${workers} workers in ${workers} processes`)
  say(`leases in ${store}, each for ${plain.format(ttlMs)} ms, renewed by a native thread while its holder lives`)
  say()
}

const NEWS = {
  struck: ({ kind, pid, task, token, when }) =>
    `${kind === 'kill' ? 'killed by SIGKILL' : 'stopped by SIGSTOP'} (process ${pid}) at ${task}, token ${token}, ` +
    `${when === 'before' ? 'before it wrote the result' : 'after it wrote the result, before it released'}`,
  next: ({ of, task, token, ms }) => `has ${task} next, token ${token}, ${plain.format(ms)} ms after what happened to ${of}`,
  continued: ({ task }) => `continued by SIGCONT: somebody else has done ${task}`,
  awake: ({ task, lost, remainingMs }) => `is awake; lease.lost is ${lost}, remainingMs ${remainingMs}; writes its ${task} all the same`,
  refused: ({ task, token, fence }) => `REFUSED: the late write to ${task} has token ${token}, and ${fence} was there`,
  failed: ({ error }) => `FAILED: ${error}`,
}

function sayNews(seconds, name, news) {
  const words = NEWS[news.type]?.(news)
  if (words) say(`${seconds.toFixed(2).padStart(6)} s  ${name.padEnd(8)} ${words}`)
}

/** What went wrong, by everything that the table of results was asked for. */
function verdict({ results, tasks, troubles, problems }) {
  const found = [...problems]
  const writes = results.attempts.filter(({ kind }) => kind === 'write')
  const accepted = writes.filter((write) => write.accepted)
  const refused = writes.filter((write) => !write.accepted)
  for (const task of tasks) {
    const times = accepted.filter((write) => write.task === task).length
    if (times !== 1) found.push(`${task} was done ${times} times`)
    const tokens = results.attempts.filter((one) => one.kind === 'begin' && one.task === task).map(({ token }) => token)
    if (tokens.some((token, i) => i > 0 && token <= tokens[i - 1])) found.push(`the tokens of ${task} do not grow: ${tokens}`)
  }
  const kills = troubles.filter(({ kind }) => kind === 'kill').length
  const stopped = troubles.find(({ kind }) => kind === 'stop')
  if (kills < 2) found.push(`${kills} workers were killed instead of two`)
  if (!stopped) found.push('no worker was stopped')
  if (stopped && !stopped.awake?.lost) found.push('the stopped worker was not told that its lease was lost')
  if (stopped && !refused.some(({ task, worker }) => task === stopped.task && worker === stopped.name)) {
    found.push('the late write of the stopped worker was not refused')
  }
  return { accepted, refused, kills, problems: found }
}

function sayEnd({ workers, tasks, seconds, results, troubles }, { accepted, refused, kills, problems }) {
  say()
  say('worker   process  done  tasks')
  for (const { name, child, fate } of workers.values()) {
    const done = accepted.filter(({ worker }) => worker === name).map(({ task }) => task.replace('task-', ''))
    const pid = String(child.pid).padStart(7)
    say(`${name.padEnd(8)} ${pid}  ${String(done.length).padStart(4)}  ${done.join(' ')}${fate === 'finished' ? '' : `  (${fate})`}`)
  }
  say()
  for (const problem of problems) say(`FAILED: ${problem}`)
  const summary =
    `${results.done} of ${tasks.length} tasks done, ${accepted.length} writes accepted, ${refused.length} late write${refused.length === 1 ? '' : 's'} refused; ` +
    `${kills} workers killed, ${troubles.length - kills} stopped; ${seconds.toFixed(1)} s`
  say(problems.length === 0 ? `OK: every task was done exactly once. ${summary}` : `NOT OK: ${summary}`)
}

module.exports = { sayEnd, sayNews, sayStart, verdict }
