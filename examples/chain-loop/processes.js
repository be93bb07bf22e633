// The layers as processes: started, watched, and two of them killed by SIGKILL while they hold the lock.
'use strict'

const { fork } = require('node:child_process')
const path = require('node:path')
const { setTimeout: pause } = require('node:timers/promises')
const { say } = require('./report.js')
const { LAYERS } = require('./tally.js')

/** How long the session is given to show that it has received what a killed layer may have sent. */
const ARRIVAL_MS = 500

/**
 * Lets `runChain` run the layers in processes. `scope` is what each gives to configureSendLock, null without the
 * lock. `kills` says after which tasks the holder is killed, and whether before it has sent or after: a list of
 * `{ index, when }`, to which what happened is added.
 */
function inProcesses({ scope, kills }) {
  return (setting) => new Processes(setting, scope, [...kills]).run()
}

class Processes {
  #setting
  #scope
  #kills
  #children = new Map()
  #ends = []

  constructor(setting, scope, kills) {
    this.#setting = setting
    this.#scope = scope
    this.#kills = kills
  }

  /** Returns whether the layers had to be stopped. */
  async run() {
    const { tasks, signal } = this.#setting
    for (const layer of LAYERS) this.#start(layer, tasks)
    const stop = () => this.#children.forEach((child) => child.kill('SIGKILL'))
    signal.addEventListener('abort', stop, { once: true })
    const look = setInterval(() => this.#orderNextKill(), 20)
    try {
      // A killed layer's successor is started before its own end is waited for.
      for (let end = this.#ends.shift(); end; end = this.#ends.shift()) await end
    } finally {
      clearInterval(look)
      signal.removeEventListener('abort', stop)
    }
    return signal.aborted
  }

  /** `previous` is the answer after which it begins; that to the start of the session, if left out. */
  #start(layer, tasks, previous) {
    const { directory, session, lockModules } = this.#setting
    const address = session.addressForProcess?.() ?? session.address()
    const data = { tasks, previous, directory, terminal: address, lockModule: lockModules[layer], scope: this.#scope }
    const child = fork(path.join(__dirname, `${layer}.js`), [JSON.stringify(data)])
    this.#children.set(layer, child)
    child.on('message', (news) => this.#hear(layer, child, news))
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => {
        if (code === 0 || signal === 'SIGKILL') resolve()
        else reject(new Error(`${layer} ended with ${code ?? signal}`))
      })
    })
    this.#ends.push(ended)
    return ended
  }

  #hear(layer, child, news) {
    if (news.type === 'line') return this.#passOn(child, news)
    if (news.type === 'holding') return this.#kill(layer, news)
    this.#setting.tally.note({ layer, ...news })
  }

  async #passOn(child, { number, line }) {
    await this.#setting.session.send(line)
    if (child.connected) child.send({ confirmed: number })
  }

  /** When it is time for the next kill, whoever holds next stands still. */
  #orderNextKill() {
    const { tasks, transcript } = this.#setting
    const next = this.#kills[0]
    if (!next || next.isOrdered || !transcript.hasAnswered(tasks[next.index].id)) return
    next.isOrdered = true
    this.#tellAll(next.when)
  }

  #tellAll(standStill) {
    for (const child of this.#children.values()) if (child.connected) child.send({ standStill })
  }

  /** One stands still with the lock in its hand. */
  #kill(layer, { id, when }) {
    const kill = this.#kills[0]
    const child = this.#children.get(layer)
    if (!kill || kill.layer) return child.send({ standStill: null })
    Object.assign(kill, { layer, id, pid: child.pid })
    child.kill('SIGKILL')
    this.#children.delete(layer)
    this.#tellAll(null)
    if (when === 'after') this.#setting.tally.note({ type: 'sent', layer, id })
    this.#ends.push(this.#succeed(layer, kill))
  }

  /**
   * Starts the killed layer anew. Whether its message was sent the lock cannot know, and so nobody sends it a
   * second time under its name; the session's transcript knows.
   */
  async #succeed(layer, kill) {
    const { tasks, transcript } = this.#setting
    await pause(ARRIVAL_MS)
    const index = tasks.findIndex((task) => task.id === kill.id)
    kill.hasArrived = transcript.received().some((entry) => entry.id === kill.id)
    const rest = tasks.slice(kill.hasArrived ? index + 1 : index)
    const again = rest.map((task) => (task.id === kill.id ? { ...task, key: `${task.key}/again` } : task))
    const previous = kill.hasArrived ? kill.id : tasks[index - 1].id
    this.#start(layer, again, previous)
    this.#kills.shift()
  }
}

/** What became of the killed layers and their messages, in words. */
function sayKills(kills) {
  for (const { layer, id, pid, when, hasArrived } of kills.filter((kill) => kill.layer)) {
    say(`  ${layer} (process ${pid}) was killed by SIGKILL while it held the lock for ${id}, ${when} it sent`)
    say(
      hasArrived
        ? '    the session had received the message: nobody sent it again; the layer was started anew and went on'
        : '    the session had not received the message: the layer, started anew, sent it under a new key',
    )
  }
}

module.exports = { inProcesses, sayKills }
