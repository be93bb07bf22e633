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
    followed.delete(signal)
    for (const [each, itsTicket] of requests) each.aborted(itsTicket, signal.reason)
  }
  followed.set(signal, { requests, listener })
  signal.addEventListener('abort', listener, { once: true })
}

/** @param {AbortSignal} signal @param {Abortable} request */
function unfollow(signal, request) {
  const known = followed.get(signal)
  if (!known?.requests.delete(request) || known.requests.size > 0) return
  followed.delete(signal)
  signal.removeEventListener('abort', known.listener)
}

module.exports = { follow, unfollow }
