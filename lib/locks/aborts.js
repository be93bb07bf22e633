// Abort signals of waiting requests: one listener a signal, however many requests it is given to, so that
// ten thousand of them neither warn of a leak nor look each other's listeners through.
// @ts-check
'use strict'

/**
 * @typedef {{ aborted(ticket: number, reason: unknown): void }} Abortable
 * @typedef {{ requests: Map<Abortable, number>, listener: () => void }} Followed
 */

/** @type {WeakMap<AbortSignal, Followed>} */
const followed = new WeakMap()

/**
 * To be called when the request stands. A signal that is none, and throws, aborts it: nobody would give back
 * what it is granted.
 * @param {AbortSignal} signal
 * @param {Abortable} request
 * @param {number} ticket
 */
function follow(signal, request, ticket) {
  const known = followed.get(signal)
  if (known) {
    known.requests.set(request, ticket)
    return
  }
  const requests = new Map([[request, ticket]])
  const listener = () => {
    // Who is granted meanwhile, because another one has left the line, unfollows and is not aborted any more.
    for (const [each, itsTicket] of requests) each.aborted(itsTicket, signal.reason)
    followed.delete(signal)
  }
  followed.set(signal, { requests, listener })
  try {
    signal.addEventListener('abort', listener, { once: true })
  } catch (error) {
    followed.delete(signal)
    request.aborted(ticket, error)
  }
}

/** @param {AbortSignal} signal @param {Abortable} request */
function unfollow(signal, request) {
  const known = followed.get(signal)
  if (!known?.requests.delete(request) || known.requests.size > 0) return
  followed.delete(signal)
  try {
    signal.removeEventListener('abort', known.listener)
  } catch (error) {
    // Whoever is granted just now must not stumble over it.
    process.emitWarning(error instanceof Error ? error : 'a signal threw when its listener was removed')
  }
}

module.exports = { follow, unfollow }
