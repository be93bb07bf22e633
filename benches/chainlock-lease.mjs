// @ts-check
// chainlock's lease in the shape of its peers (lease-peers.mjs), so that the same loops time both.
import { createRequire } from 'node:module'
import { LEASE_PEERS } from './lease-peers.mjs'

const { LeaseManager } = createRequire(import.meta.url)('chainlock/leases')

/** @typedef {import('./lease-peers.mjs').Peer} Peer */

/** @param {Peer['engine']} engine @returns {Peer} */
export const chainlockPeer = (engine) => ({ name: 'chainlock', engine, raw: false, open: openLease })

/** @param {string} url */
async function openLease(url) {
  const leases = new LeaseManager({ store: url, ttlMs: 30_000 })
  /** @type {any} */
  let lease
  return {
    /** @param {string} key */
    async acquire(key) {
      lease = await leases.acquire(key)
    },
    release: () => lease.release(),
    close: () => leases.destroy(),
  }
}

/** @param {Peer['engine']} engine @param {string} name @returns {Peer} */
export function peerOf(engine, name) {
  const peer = LEASE_PEERS.find((one) => one.engine === engine && one.name === name)
  return peer ?? chainlockPeer(engine)
}

/** A database file belongs to one of them: chainlock refuses one with somebody else's tables. @param {Peer} peer @param {string} url */
export const urlFor = (peer, url) => (peer.engine === 'sqlite' && peer.raw ? `${url}-raw` : url)

/** chainlock first. @param {Peer['engine']} engine */
export const peersOf = (engine) => [chainlockPeer(engine), ...LEASE_PEERS.filter((peer) => peer.engine === engine)]
