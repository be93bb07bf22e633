// Counting: what the layers did, what the lock says about it, and what the session really received.
'use strict'

const LAYERS = ['e2e-executor', 'window-monitor', 'chain-loop-monitor']
const REASONS = ['held', 'cooldown', 'duplicate_message']

/** What the layers tell about themselves. */
class LayerTally {
  #layers = Object.fromEntries(LAYERS.map((layer) => [layer, { attempts: 0, sent: 0, blocked: 0, joined: 0 }]))
  #senders = new Map()

  note({ type, layer, id }) {
    const counter = { attempt: 'attempts', sent: 'sent', blocked: 'blocked', joined: 'joined' }[type]
    this.#layers[layer][counter] += 1
    if (type === 'sent') this.#senders.set(id, [...this.sendersOf(id), layer])
  }

  of(layer) {
    return this.#layers[layer]
  }

  total(counter) {
    return LAYERS.reduce((sum, layer) => sum + this.#layers[layer][counter], 0)
  }

  sendersOf(id) {
    return this.#senders.get(id) ?? []
  }
}

/** Which rule blocked which layer, from the lock's own events: it tells every thread about all threads. */
class BlockedEvents {
  #lock
  #counts = Object.fromEntries(LAYERS.map((layer) => [layer, { held: 0, cooldown: 0, duplicate_message: 0 }]))
  #listener = ({ layerId, reason }) => {
    this.#counts[layerId][reason] += 1
  }

  constructor(lock) {
    this.#lock = lock
    lock.sendEvents.on('blocked', this.#listener)
  }

  stop() {
    this.#lock.sendEvents.off('blocked', this.#listener)
  }

  of(layer, reason) {
    return this.#counts[layer][reason]
  }

  total(reason) {
    return LAYERS.reduce((sum, layer) => sum + this.#counts[layer][reason], 0)
  }
}

/** What arrived: read from the session's transcript, and checked against what its screen shows. */
function countDeliveries(tasks, transcript, screen) {
  const received = transcript.received()
  const copies = tasks.map((task) => received.filter((entry) => entry.text === task.message).length)
  const repeated = repeatedNumbers(received)
  const answers = transcript.answered()
  return {
    instructions: tasks.length,
    received: received.length,
    once: copies.filter((count) => count === 1).length,
    duplicated: copies.filter((count) => count > 1).length,
    lost: copies.filter((count) => count === 0).length,
    garbled: received.length - copies.reduce((sum, count) => sum + count, 0),
    needlessWorkMs: answers.filter(({ n }) => repeated.has(n)).reduce((sum, { workMs }) => sum + workMs, 0),
    screenAgrees: isSameList(instructionsOn(screen), received.map(({ n, id }) => `#${n} [${id}]`)),
  }
}

/** The numbers of the messages that brought a task which had arrived before. */
function repeatedNumbers(received) {
  const seen = new Set()
  const isRepeated = ({ id }) => seen.has(id) || !seen.add(id)
  return new Set(received.filter(isRepeated).map(({ n }) => n))
}

function instructionsOn(screen) {
  const lines = screen.split('\n').map((line) => /^> (#\d+ \[[^\]]*\])/.exec(line))
  return lines.filter(Boolean).map((match) => match[1])
}

function isSameList(a, b) {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/**
 * Where the lock's own counts differ from what the layers say they did; empty when they agree. `kills` are the
 * layers that were killed with the lock: none gave it back, and some had not sent yet.
 */
function disagreements(metrics, layers, events, kills = []) {
  const held = layers.total('sent') + kills.filter(({ when }) => when === 'before').length
  const pairs = [
    ['acquisitions', metrics.totalAcquisitions, held],
    ['releases', metrics.totalReleases, held - kills.length],
    ['forced releases', metrics.forceReleases, kills.length],
    ['blocked', metrics.duplicatesBlocked, layers.total('blocked')],
    ['joins', metrics.joins, layers.total('joined')],
    ...REASONS.map((reason) => [`blocked events, ${reason}`, metrics.refusedByReason[reason], events.total(reason)]),
  ]
  return pairs
    .filter(([, ofLock, ofLayers]) => ofLock !== ofLayers)
    .map(([what, ofLock, ofLayers]) => `${what}: the lock counts ${ofLock}, the layers ${ofLayers}`)
}

module.exports = { LAYERS, REASONS, LayerTally, BlockedEvents, countDeliveries, disagreements }
