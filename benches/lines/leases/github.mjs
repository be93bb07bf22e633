// @ts-check
// How many requests a lease on GitHub takes, counted at the tests' GitHub: a real bare repository behind its
// interfaces. Requests are what GitHub limits, so they are what counts; its times are not ours.
import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)
const { LeaseManager } = load('chainlock/leases')
const { startGitHub } = load('../../../__test__/helpers/github')

/** @typedef {import('../../figure.mjs').Figure} Figure */

const TTL_MS = 300_000
const HOUR_MS = 3_600_000
const WRITES = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

export async function github() {
  const server = await startGitHub({})
  const leases = new LeaseManager({ store: `github:${server.repo}`, token: server.token, apiUrl: server.apiUrl, ttlMs: TTL_MS, showOnIssue: false })
  try {
    const first = await counted(server, () => leases.acquire('first'))
    const acquired = await counted(server, () => leases.acquire('second'))
    const renewed = await counted(server, () => acquired.value.renew())
    const released = await counted(server, () => acquired.value.release())
    await first.value.release()
    const anHour = (HOUR_MS / (TTL_MS / 3)) * renewed.writes
    return {
      figures: [
        figure('acquire', `github: acquire`, acquired.requests, 4, `the first of a process, with its session, ${first.requests}`),
        figure('renew', 'github: renewal of all that a process holds', renewed.requests, 2),
        figure('release', 'github: release', released.requests, 2),
        figure('idle', 'github: writes an hour of a process that holds', anHour, 72, `ttl ${TTL_MS / 1_000} s`),
      ],
      facts: [],
    }
  } finally {
    await leases.destroy()
    await server.stop()
  }
}

/** @param {string} id @param {string} what @param {number} value @param {number} most @param {string} [detail] @returns {Figure} */
const figure = (id, what, value, most, detail) => ({ id: `lease-github-${id}`, what, value, unit: 'requests', bar: { most }, detail })

/** @template T @param {any} server @param {() => Promise<T>} work */
async function counted(server, work) {
  const before = server.log.length
  const value = await work()
  await server.idle()
  const asked = server.log.slice(before)
  const writes = asked.filter((/** @type {any} */ { method, operation }) => WRITES.has(method) && !/graphql\/(?!updateRefs)/.test(operation ?? '')).length
  return { value, requests: asked.length, writes }
}
