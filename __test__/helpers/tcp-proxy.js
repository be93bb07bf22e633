// A TCP proxy in the test's own process, in front of a server: the portable way to lose, delay and cut what a client
// and the server say to each other.
//
//   const proxy = await startProxy(redis.port)
//   after(() => proxy.stop())
//   proxy.url(redis.url); proxy.blackHole(); proxy.pass(); await proxy.cutAfterForward()
'use strict'

const net = require('node:net')

const HOST = '127.0.0.1'

/** One client's connection and the one to the server that belongs to it. */
class Pair {
  /** What is to be delivered, in order, when the proxy lets it. @type {{ to: net.Socket, bytes: Buffer | null, due: number }[]} */
  held = []
  lostBytes = false
  /** Set when the answer to come is to be lost: called when it was. @type {(() => void) | undefined} */
  onAnswer
  answeredSince = true

  /** @param {net.Socket} client @param {net.Socket} server */
  constructor(client, server) {
    this.client = client
    this.server = server
  }

  /** Cuts it as a crash does: both sides see a reset. */
  reset() {
    this.held = []
    for (const socket of [this.client, this.server]) socket.resetAndDestroy()
  }
}

class TcpProxy {
  /** @type {Set<Pair>} */
  #pairs = new Set()
  /** @type {'pass' | 'hold' | 'blackHole' | 'refuse'} */
  #mode = 'pass'
  #delayMs = 0
  /** The next request that is to be cut. @type {{ match: (bytes: Buffer) => boolean, forward: boolean, done: () => void } | undefined} */
  #plan
  #listener
  port = 0
  accepted = 0
  bytesUp = 0
  bytesDown = 0
  /** Pieces that came from clients: a request each, unless it is large or several were sent at once. */
  requestsUp = 0
  /** How often a client spoke after the server had: a pipeline counts once. */
  roundTrips = 0

  /** @param {number} targetPort @param {string} targetHost */
  constructor(targetPort, targetHost) {
    this.targetPort = targetPort
    this.targetHost = targetHost
    this.#listener = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#welcome(client))
  }

  /** @returns {Promise<this>} */
  listen() {
    return new Promise((resolve, reject) => {
      this.#listener.once('error', reject)
      this.#listener.listen(0, HOST, () => {
        const { port } = /** @type {net.AddressInfo} */ (this.#listener.address())
        this.port = port
        resolve(this)
      })
    })
  }

  /** Connections that are open now. */
  get connections() {
    return this.#pairs.size
  }

  /** The url with this proxy in its server's place. @param {string} url */
  url(url) {
    const through = new URL(url)
    through.hostname = HOST
    through.port = String(this.port)
    return through.href
  }

  #welcome(client) {
    this.accepted += 1
    if (this.#mode === 'refuse') return client.resetAndDestroy()
    const server = net.connect({ port: this.targetPort, host: this.targetHost, allowHalfOpen: true, noDelay: true })
    const pair = new Pair(client, server)
    this.#pairs.add(pair)
    client.on('data', (bytes) => this.#up(pair, bytes))
    server.on('data', (bytes) => this.#down(pair, bytes))
    client.on('end', () => this.#carry(pair, server, null))
    server.on('end', () => this.#carry(pair, client, null))
    for (const socket of [client, server]) {
      // One side's failure is the other's, as it would be without a proxy.
      socket.on('error', () => pair.reset())
      socket.on('close', () => this.#closed(pair))
    }
  }

  #closed(pair) {
    if (pair.client.destroyed && pair.server.destroyed) this.#pairs.delete(pair)
  }

  #up(pair, bytes) {
    this.bytesUp += bytes.length
    this.requestsUp += 1
    if (pair.answeredSince) this.roundTrips += 1
    pair.answeredSince = false
    if (this.#plan?.match(bytes)) {
      const { forward, done } = this.#plan
      this.#plan = undefined
      if (!forward) {
        pair.reset()
        return done()
      }
      pair.onAnswer = done
    }
    this.#carry(pair, pair.server, bytes)
  }

  #down(pair, bytes) {
    this.bytesDown += bytes.length
    pair.answeredSince = true
    if (pair.onAnswer) {
      pair.reset()
      return pair.onAnswer()
    }
    this.#carry(pair, pair.client, bytes)
  }

  /** Takes bytes, or null for the end, to where they belong: now, later or never. */
  #carry(pair, to, bytes) {
    if (this.#mode === 'blackHole') {
      pair.lostBytes = true
      return
    }
    pair.held.push({ to, bytes, due: performance.now() + this.#delayMs })
    if (this.#delayMs > 0) setTimeout(() => this.#deliver(pair), this.#delayMs + 1)
    else this.#deliver(pair)
  }

  #deliver(pair) {
    if (this.#mode === 'hold' || this.#mode === 'blackHole') return
    // In order also when the delay has changed in between: the first that is not due holds up the rest.
    while (pair.held.length > 0 && pair.held[0].due <= performance.now()) {
      const { to, bytes } = pair.held.shift()
      if (bytes === null) to.end()
      else to.write(bytes)
    }
  }

  // ── What happens to the traffic ────────────────────────────────────────────────────────────────────

  /** As if there were no proxy. What was held is delivered now; connections that have lost bytes are reset. */
  pass() {
    this.#mode = 'pass'
    this.#delayMs = 0
    for (const pair of this.#pairs) {
      if (pair.lostBytes) {
        pair.reset()
        continue
      }
      for (const held of pair.held) held.due = 0
      this.#deliver(pair)
    }
  }

  /** Keeps connections, takes new ones, and loses all that is said on them. */
  blackHole() {
    this.#mode = 'blackHole'
    for (const pair of this.#pairs) {
      if (pair.held.length > 0) pair.lostBytes = true
      pair.held = []
    }
  }

  /** Keeps connections and all that is said on them until `pass`: a partition that heals, with what was sent arriving late. */
  hold() {
    this.#mode = 'hold'
  }

  /** Passes everything on, later: by so much in each direction. @param {number} ms */
  delay(ms) {
    this.pass()
    this.#delayMs = ms
  }

  /** Resets all connections, and every new one at once. */
  refuse() {
    this.#mode = 'refuse'
    this.cut()
  }

  /** Resets all connections; new ones are as before. */
  cut() {
    for (const pair of this.#pairs) pair.reset()
  }

  /**
   * Forwards the next request (of those that match), loses the server's answer and resets that connection: it has
   * happened, and the client cannot know. Resolves when that is done.
   * @param {(bytes: Buffer) => boolean} [match]
   * @returns {Promise<void>}
   */
  cutAfterForward(match = () => true) {
    return new Promise((done) => (this.#plan = { match, forward: true, done }))
  }

  /**
   * Loses the next request (of those that match) and resets its connection: it has not happened, and the client cannot
   * know. Resolves when that is done.
   * @param {(bytes: Buffer) => boolean} [match]
   * @returns {Promise<void>}
   */
  cutBeforeForward(match = () => true) {
    return new Promise((done) => (this.#plan = { match, forward: false, done }))
  }

  /** Passes everything, plans nothing, and counts from zero. */
  reset() {
    this.#plan = undefined
    for (const pair of this.#pairs) pair.onAnswer = undefined
    this.pass()
    this.accepted = this.bytesUp = this.bytesDown = this.requestsUp = this.roundTrips = 0
  }

  /** @returns {Promise<void>} */
  stop() {
    return new Promise((resolve) => {
      this.#listener.close(() => resolve())
      this.cut()
    })
  }
}

/**
 * @param {number} targetPort
 * @param {{ host?: string }} [options]
 */
function startProxy(targetPort, { host = HOST } = {}) {
  return new TcpProxy(targetPort, host).listen()
}

module.exports = { startProxy }
