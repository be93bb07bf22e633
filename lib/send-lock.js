// A send lock as JavaScript sees it: arguments are checked, promises and guards are made, nested calls are
// recognised. Every decision is the native lock's.
// @ts-check
'use strict'

const { threadId } = require('node:worker_threads')
const { native } = require('./native')
const { Guard, JoinedGuard } = require('./guard')
const nesting = require('./nesting')
const options = require('./options')
const { readMetrics } = require('./metrics')
const { queueFull, refused, selfDeadlock, timedOut } = require('./send-errors')
const { applySettings, hostFault } = require('./send-scope')
const { createWaiters } = require('./waiters')
const { beginSendWait } = require('./locks/send-waits')

/** The refusals by the code with which a raw call returns them; see `binding/face.rs`. */
const REFUSALS = Object.freeze({
  '-1': 'unknown_layer',
  '-2': 'cooldown',
  '-3': 'held',
  '-4': 'duplicate_message',
})
const QUEUE_FULL = -5
const UNAVAILABLE = -8
const WAITING = -6
const ENDED = -7
/** How the native side packs and shares rows of layers. */
const { holderRows: HOLDER_ROWS, rows: ROWS, sharedRow: SHARED_ROW } = options.limits
/** The bits of a release's answer. */
const RELEASED = 1
const FETCH = 2

/**
 * @param {boolean} independent A lock of its own, or this thread's view of the process's one.
 */
function createSendLock(independent) {
  const scratch = new Float64Array(native.scratchLength())
  const { face, calls } = native.openFace(threadId, independent, scratch)
  /** What nested calls know this lock by: the process's one is the same for every copy of this package. */
  const key = independent ? Symbol('independent send lock') : 'process'
  /** @type {Map<number, Guard>} */
  const watched = new Map()
  /** @type {string[]} */
  const layerNames = []
  /** @type {(() => void) | undefined} */
  let onEvents

  const waiters = createWaiters({ face, calls, scratch, onWake: () => onEvents?.() })

  /** @type {import('./guard').GuardLock} */
  const guardLock = {
    holds: (token) => calls.holds(token),
    releaseToken(token, sent) {
      const answer = released(calls.releaseToken(token, sent ? 1 : 0))
      if (nesting.anyOpen()) nesting.ended(key, token)
      return answer
    },
    forget: (token, message) => calls.forget(token, message),
    watch(guard) {
      waiters.open()
      watched.set(guard.token, /** @type {Guard} */ (guard))
      waiters.root(guard)
    },
    unwatch(guard) {
      watched.delete(guard.token)
      waiters.unroot(guard)
    },
  }
  waiters.onLost((token) => {
    watched.get(token)?.lose()
    nesting.ended(key, token)
  })

  /** @param {number} answer */
  function released(answer) {
    // The next in line is of this thread: it goes on without a trip through the event loop.
    if (answer & FETCH) waiters.fetch()
    return (answer & RELEASED) !== 0
  }

  /** @param {number} row */
  function layerName(row) {
    return (layerNames[row] ??= native.layerName(face, row))
  }

  /** @param {readonly number[] | Float64Array} from @param {number} at */
  function holderAt(from, at) {
    if (from[at] === 0) return null
    const pid = Math.floor(from[at + 1] / HOLDER_ROWS)
    // Not by `%`, which is slow for numbers that are no small integers.
    const row = from[at + 1] - pid * HOLDER_ROWS
    // The one row that many layers share does not know which of them holds.
    const exact = row % ROWS === SHARED_ROW ? native.holderLayer(face, from[at]) : null
    return {
      layerId: exact ?? layerName(row),
      threadId: from[at + 2],
      pid,
      token: from[at],
      acquiredAt: Math.floor(Date.now() - from[at + 3]),
    }
  }

  /**
   * @param {number} code
   * @param {readonly number[] | Float64Array} from
   * @param {number} at
   * @returns {import('../index').SendAttempt & { acquired: false }}
   */
  function refusal(code, from, at) {
    if (code === UNAVAILABLE) throw hostFault()
    const holder = holderAt(from, at)
    return {
      acquired: false,
      reason: REFUSALS[/** @type {'-1'} */ (String(code))],
      holder,
      heldMs: holder ? from[at + 3] : null,
      retryAfterMs: from[at + 4] < 0 ? null : from[at + 4],
    }
  }

  /** @param {string} layerId @param {string | undefined} message */
  function ask(layerId, message) {
    return message === undefined ? calls.tryAcquire(layerId) : calls.tryAcquire(layerId, message)
  }

  /**
   * The frame that this call may join at once; null where it must not; undefined outside of any hold.
   * @param {string} layerId
   * @param {import('./options').RequestOptions} request
   */
  function joinable(layerId, request) {
    const frame = nesting.anyOpen() ? nesting.currentFrame(key) : undefined
    if (!frame) return undefined
    return request.mayJoin && nesting.isOnTop(frame) && nesting.mayJoin(frame, layerId) ? frame : null
  }

  /** @param {number} token @param {string} layerId @param {string | undefined} message */
  function joinCode(token, layerId, message) {
    return message === undefined ? calls.join(token, layerId) : calls.join(token, layerId, message)
  }

  /**
   * The layers that have asked, by the number under which the native lock keeps them, for good.
   * @type {Map<unknown, number>}
   */
  const numbers = new Map()
  /** The one that asked last: a layer releases what it took. @type {unknown} */
  let lastId
  /** @type {number | undefined} */
  let lastNumber

  /** @param {unknown} layerId */
  function numberOf(layerId) {
    if (layerId === lastId) return lastNumber
    const number = numbers.get(layerId)
    // Only what has a number is kept: it is short.
    if (number !== undefined) [lastId, lastNumber] = [layerId, number]
    return number
  }

  /** The plain drop-in call of a layer that is not in `numbers` yet. @param {string} layerId */
  function firstTry(layerId) {
    const token = calls.tryAcquire(layerId)
    // Other spellings that clean to the same id come this way every time.
    const number = token > 0 && options.cleanLayerId(layerId) === layerId ? calls.layerNumber(layerId) : -1
    if (number >= 0) numbers.set(layerId, number)
    return token
  }

  const NO_OPTIONS = options.requestOptions('', undefined)

  /** @type {import('../index').SharedLock['tryAcquireSendLock']} */
  function tryAcquireSendLock(layerId, given) {
    try {
      if (given === undefined && !nesting.anyOpen()) {
        const number = numberOf(layerId)
        return (number === undefined ? firstTry(layerId) : calls.tryAcquireNumbered(number)) > 0
      }
      const id = typeof layerId === 'string' ? options.cleanLayerId(layerId) : null
      if (id === null) return calls.tryAcquire(layerId) > 0
      const request = given === undefined ? NO_OPTIONS : options.requestOptions('tryAcquireSendLock', given)
      const frame = joinable(id, request)
      const code = frame ? joinCode(frame.hold.token, id, request.message) : ENDED
      if (!frame || code === ENDED) return ask(id, request.message) > 0
      if (code === 0) nesting.joinByLayer(frame, id)
      return code === 0
    } catch {
      return false
    }
  }

  /** @type {import('../index').SharedLock['releaseSendLock']} */
  function releaseSendLock(layerId, token) {
    try {
      if (nesting.anyOpen() && typeof layerId === 'string') {
        const id = options.cleanLayerId(layerId)
        if (id !== null && nesting.leaveByLayer(key, id, token)) return true
      }
      if (token === undefined) {
        const number = numberOf(layerId)
        return released(number === undefined ? calls.release(layerId) : calls.releaseNumbered(number))
      }
      return Number.isSafeInteger(token) && token > 0 && released(calls.release(layerId, token))
    } catch {
      return false
    }
  }

  /** @type {import('../index').SharedLock['trySend']} */
  function trySend(layerId, given) {
    const id = options.layerId('trySend', layerId)
    const request = given === undefined ? NO_OPTIONS : options.requestOptions('trySend', given)
    const frame = joinable(id, request)
    const joined = frame ? joinCode(frame.hold.token, id, request.message) : ENDED
    const code = joined === ENDED ? ask(id, request.message) : joined
    if (code < 0) return refusal(code, scratch, 0)
    const guard =
      frame && joined === 0
        ? new JoinedGuard(guardLock, nesting.join(frame, id), request.message)
        : new Guard(guardLock, code, id)
    return { acquired: true, guard: asGuard(guard) }
  }

  /**
   * Waits; answers the guard and the frame that it joined, if it did.
   * @param {string} call
   * @param {string} layerId
   * @param {ReturnType<typeof options.waitOptions>} wait
   * @returns {Promise<{ guard: Guard | JoinedGuard, frame?: import('./nesting').Frame }>}
   */
  async function acquire(call, layerId, wait) {
    throwIfAborted(wait.signal)
    const frame = nesting.anyOpen() ? nesting.currentFrame(key) : undefined
    if (!frame) return { guard: await request(layerId, wait) }
    if (!wait.mayJoin || !nesting.mayJoin(frame, layerId)) throw selfDeadlock(call, layerId, frame)
    const startedAt = performance.now()
    /** @param {import('./nesting').Frame} [context] */
    const joinNow = (context) => {
      const code = frame.hold.open ? joinCode(frame.hold.token, layerId, wait.message) : ENDED
      if (code === ENDED) return undefined
      if (code < 0) throw refused(layerId, refusal(code, scratch, 0))
      const joined = nesting.join(frame, layerId, context)
      return { guard: new JoinedGuard(guardLock, joined, wait.message), frame: joined }
    }
    const joined = nesting.isOnTop(frame)
      ? joinNow()
      : await waiters.turn(frame, wait, () => timedOut(layerId, startedAt, ...inTheWay(frame)), joinNow)
    // The hold ended meanwhile: this is a request like any other.
    return joined ?? { guard: await request(layerId, rest(wait, startedAt)) }
  }

  /**
   * @param {string} layerId
   * @param {ReturnType<typeof options.waitOptions>} wait
   * @returns {Promise<Guard>}
   */
  async function request(layerId, { timeoutMs, signal, message }) {
    throwIfAborted(signal)
    const startedAt = performance.now()
    // An answer to a mailbox that is not open would be lost.
    waiters.open()
    const code =
      message === undefined ? calls.request(layerId, timeoutMs) : calls.request(layerId, timeoutMs, message)
    if (code > 0) return new Guard(guardLock, code, layerId)
    if (code === QUEUE_FULL) throw queueFull(layerId)
    if (code !== WAITING) throw refused(layerId, refusal(code, scratch, 0))
    const told = await answerTo(layerId, signal)
    if (told.kind === 'granted') {
      return new Guard(guardLock, told.value, layerId, Math.floor(Date.now() - told.rest[0]))
    }
    if (told.kind === 'refused') throw refused(layerId, refusal(told.value, told.rest, 0))
    throw timedOut(layerId, startedAt, told.value, holderAt(told.rest, 0))
  }

  /**
   * Waits for the answer to the request that has just been made. Inside of holds of named locks it may turn out
   * that this would be for ever.
   * @param {string} layerId
   * @param {AbortSignal | undefined} signal
   */
  async function answerTo(layerId, signal) {
    const ticket = scratch[0]
    const isAnswered = scratch[1] === 1
    const around = independent || isAnswered ? null : beginSendWait(layerId)
    // Too late when the answer is on its way: then it counts.
    if (around?.error && calls.cancel(ticket)) throw around.error
    const answer = waiters.wait(ticket, signal)
    if (isAnswered) waiters.fetch()
    try {
      return await answer
    } finally {
      around?.over()
    }
  }

  /** @type {import('../index').SharedLock['acquireSendLock']} */
  async function acquireSendLock(layerId, given) {
    const id = options.layerId('acquireSendLock', layerId)
    const { guard } = await acquire('acquireSendLock', id, options.waitOptions('acquireSendLock', given))
    return asGuard(guard)
  }

  /**
   * @param {string} layerId
   * @param {unknown} given
   * @param {unknown} [fn]
   */
  async function withSendLock(layerId, given, fn) {
    if (typeof given === 'function' && fn === undefined) return withSendLock(layerId, undefined, given)
    const id = options.layerId('withSendLock', layerId)
    const body = options.callback('withSendLock', fn)
    const wait = options.waitOptions('withSendLock', given)
    const { guard, frame: joined } = await acquire('withSendLock', id, wait)
    const { token, acquiredAt } = guard
    const frame =
      joined ??
      nesting.openHold({
        key,
        token,
        acquiredAt,
        layerId: id,
        joinable: wait.mayJoin,
        stands: () => calls.holds(token),
        signal: () => guard.signal,
        watch: () => waiters.open(),
      })
    let sent = false
    try {
      const result = await nesting.runIn(frame, () => body(guard))
      sent = true
      return result
    } finally {
      guard.release({ sent })
      if (!joined) nesting.closeHold(frame)
    }
  }

  return {
    /** For events and the drop-in object. */
    face,
    waiters,
    /** @param {() => void} listener */
    onEventsWake(listener) {
      onEvents = listener
    },
    tryAcquireSendLock,
    releaseSendLock,
    trySend,
    acquireSendLock,
    withSendLock: /** @type {import('../index').SharedLock['withSendLock']} */ (withSendLock),
    isSendLocked: () => calls.isLocked(),
    /** @param {string} [reason] */
    forceReleaseLock: (reason) => native.forceRelease(face, options.reasonText(reason)),
    checkAndForceRelease: () => native.settle(face),
    getMetrics: () => readMetrics({ face, calls, scratch, layerName }),
    /** @returns {import('../index').SendStatus} */
    getLockStatus: () => JSON.parse(native.statusJson(face)),
    resetMetrics: () => native.resetMetrics(face),
    /** @param {import('../index').SendLockSettings & import('../index').SendLockScope} settings */
    configure(settings) {
      return applySettings(face, independent, settings)
    },
  }
}

/** The disposing methods have computed names, which the type checker cannot follow. @param {Guard | JoinedGuard} guard */
function asGuard(guard) {
  return /** @type {import('../index').SendGuard} */ (/** @type {unknown} */ (guard))
}

/** @param {AbortSignal | undefined} signal */
function throwIfAborted(signal) {
  if (signal?.aborted) throw signal.reason
}

/** What is left of a wait that has begun. @param {ReturnType<typeof options.waitOptions>} wait @param {number} startedAt */
function rest(wait, startedAt) {
  if (wait.timeoutMs < 0) return wait
  return { ...wait, timeoutMs: Math.max(0, wait.timeoutMs - (performance.now() - startedAt)) }
}

/**
 * What a call that waits inside of a hold waits for: the call that joined before it. The call itself has
 * left the line already.
 * @param {import('./nesting').Frame} frame
 * @returns {[number, import('../index').SendHolder]}
 */
function inTheWay({ hold, layerId }) {
  const { token, acquiredAt } = hold
  return [hold.queue.size + 1, { layerId: hold.top?.layerId ?? layerId, threadId, pid: process.pid, token, acquiredAt }]
}

module.exports = { createSendLock }
