// `sendEvents` and the diagnostics channels: what happens to the process's send lock, told in every thread
// that listens. Nobody listens, nothing is done.
// @ts-check
'use strict'

const { EventEmitter } = require('node:events')
const diagnosticsChannel = require('node:diagnostics_channel')
const { native } = require('./native')
const { processLock } = require('./shared-lock')

const NAMES = Object.freeze(['acquired', 'released', 'blocked', 'overdue', 'forced', 'recovered'])

/** What a listener may wait for. */
const HEARD = [...NAMES, 'lagged']

const channels = new Map(NAMES.map((name) => [name, diagnosticsChannel.channel(`chainlock:send:${name}`)]))

class SendEvents extends EventEmitter {
  // Whoever removes all listeners means their own, not the two by which this module follows them.
  /** @param {[name?: any]} given */
  removeAllListeners(...given) {
    super.removeAllListeners(...given)
    heed(this)
    follow()
    return this
  }
}
const sendEvents = new SendEvents()

// The channels are one for all copies of this package in a thread, so one copy publishes: the first.
const PUBLISHER = Symbol.for('chainlock.publisher.1')
const mark = /** @type {any} */ (channels.get('acquired'))
const publishes = !mark[PUBLISHER]
if (publishes) Object.defineProperty(mark, PUBLISHER, { value: true })

let listening = false
/** The newest event that was told. */
let last = 0

/** Starts or stops listening natively, as there are listeners, or one is `coming`. */
function follow(coming = false) {
  const wanted =
    coming ||
    HEARD.some((name) => sendEvents.listenerCount(name) > 0) ||
    (publishes && [...channels.values()].some((channel) => channel.hasSubscribers))
  if (wanted === listening) return
  if (wanted) processLock.waiters.open()
  listening = wanted
  last = native.listen(processLock.face, wanted)
}

function tell() {
  if (!listening) return
  const news = JSON.parse(native.eventsAfter(processLock.face, last))
  last = news.last
  if (news.lost > 0) attempt(() => sendEvents.emit('lagged', news.lost))
  for (const { name, ...event } of news.events) {
    Object.freeze(event)
    if (publishes) channels.get(name)?.publish(event)
    attempt(() => sendEvents.emit(name, event))
  }
}

/** A listener that throws is an uncaught exception, as always, but does not keep the rest from the others. */
function attempt(/** @type {() => void} */ emit) {
  try {
    emit()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

processLock.onEventsWake(tell)

/** An emitter says so before a listener comes, and after it has gone. @param {EventEmitter} emitter */
function heed(emitter) {
  if (!emitter.listeners('newListener').includes(onComing)) emitter.on('newListener', onComing)
  if (!emitter.listeners('removeListener').includes(onGone)) emitter.on('removeListener', onGone)
}

const onComing = (/** @type {string | symbol} */ name) => follow(HEARD.includes(String(name)))
const onGone = () => follow()

heed(sendEvents)
// A channel tells nobody of its subscribers, so its own methods do.
for (const channel of publishes ? channels.values() : []) {
  for (const method of /** @type {const} */ (['subscribe', 'unsubscribe'])) {
    Object.defineProperty(channel, method, {
      configurable: true,
      value(/** @type {any} */ subscriber) {
        const result = Object.getPrototypeOf(this)[method].call(this, subscriber)
        follow()
        return result
      },
    })
  }
}

// Somebody may have subscribed to a channel before this package was loaded.
follow()

module.exports = { sendEvents }
