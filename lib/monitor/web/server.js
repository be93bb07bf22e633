// The page's server: one page, one stream of what changes, for the browsers of this machine that hold the token.
// It reads and shows; there is no request that acts.
// @ts-check
'use strict'

const http = require('node:http')
const { pageText } = require('./page')
const { Telling } = require('./message')
const { LOOPBACK, admit, hasToken, headersOf, newNonce, newToken } = require('./guard')

/** @typedef {import('../types').Picture} Picture */
/** @typedef {{ url: string, port: number, show: (picture: Picture) => void, close: () => Promise<void> }} Page */
/** @typedef {{ response: import('node:http').ServerResponse, telling: Telling }} Client */

const MAX_CLIENTS = 8
/** Who has so much of it still before them reads too slowly. */
const MAX_PENDING_BYTES = 1024 * 1024
const LEAST_INTERVAL_MS = 200

/** @type {Record<number, string>} */
const REASONS = {
  401: 'the token is missing or wrong: open the address that the monitor printed, with everything after #',
  403: "only the monitor's own page may ask",
  404: 'there is nothing here',
  405: 'GET and HEAD only: this page shows and does not act',
  421: 'this server answers to 127.0.0.1, [::1] and localhost only',
  503: `${MAX_CLIENTS} pages are open already; close one`,
}

class PageServer {
  /** @param {string} token */
  constructor(token) {
    this.token = token
    this.port = 0
    /** @private @type {Set<Client>} */
    this.clients = new Set()
    /** @private @type {Picture | null} */
    this.picture = null
    /** @private */
    this.shownAt = 0
    /** @private @type {NodeJS.Timeout | null} */
    this.timer = null
    this.servers = LOOPBACK.map(() => this.makeServer())
  }

  /** @private */
  makeServer() {
    const server = http.createServer(
      { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 10_000, keepAliveTimeout: 5_000 },
      (request, response) => this.answer(request, response),
    )
    server.maxConnections = 64
    // What is no request gets no word about what runs here.
    server.on('clientError', (_error, socket) => socket.destroy())
    server.on('upgrade', (_request, socket) => socket.destroy())
    return server
  }

  /** @param {number} port 0: any that is free. */
  async listen(port) {
    const [first, ...others] = this.servers
    if (first === undefined) return
    await listen(first, port, /** @type {string} */ (LOOPBACK[0]))
    this.port = /** @type {import('node:net').AddressInfo} */ (first.address()).port
    for (const [index, server] of others.entries()) {
      // A machine without IPv6 has the page under one address.
      await listen(server, this.port, /** @type {string} */ (LOOPBACK[index + 1])).catch(() => {})
    }
  }

  /**
   * @private @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  answer(request, response) {
    const path = (request.url ?? '').split('?', 1)[0]
    let status = admit(request, this.port)
    if (status === 200 && path !== '/' && path !== '/stream') status = 404
    if (status === 200 && path === '/stream' && !hasToken(request, this.token)) status = 401
    if (status === 200 && path === '/stream' && this.clients.size >= MAX_CLIENTS) status = 503
    if (status !== 200) return refuse(request, response, status)
    if (path === '/stream') return this.stream(request, response)
    const nonce = newNonce()
    const text = pageText(nonce)
    response.writeHead(200, {
      ...headersOf(nonce),
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
    })
    response.end(request.method === 'HEAD' ? undefined : text)
  }

  /**
   * @private @param {import('node:http').IncomingMessage} request
   * @param {import('node:http').ServerResponse} response
   */
  stream(request, response) {
    response.writeHead(200, { ...headersOf(null), 'Content-Type': 'text/event-stream; charset=utf-8' })
    if (request.method === 'HEAD') return void response.end()
    const client = { response, telling: new Telling() }
    this.clients.add(client)
    const gone = () => this.clients.delete(client)
    response.on('close', gone)
    response.on('error', gone)
    response.flushHeaders()
    if (this.picture !== null) this.tell(client, this.picture)
  }

  /** @param {Picture} picture */
  show(picture) {
    this.picture = picture
    const wait = this.shownAt + LEAST_INTERVAL_MS - performance.now()
    if (wait <= 0) return this.tellAll()
    this.timer ??= setTimeout(() => this.tellAll(), wait)
  }

  /** @private */
  tellAll() {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
    this.shownAt = performance.now()
    const { picture } = this
    if (picture !== null) for (const client of this.clients) this.tell(client, picture)
  }

  /** @private @param {Client} client @param {Picture} picture */
  tell({ response, telling }, picture) {
    if (response.writableLength > MAX_PENDING_BYTES) return void response.destroy()
    response.write(`data: ${JSON.stringify(telling.next(picture))}\n\n`)
  }

  async close() {
    if (this.timer !== null) clearTimeout(this.timer)
    for (const { response } of this.clients) response.destroy()
    await Promise.all(
      this.servers.map((server) => {
        server.closeAllConnections()
        return server.listening ? new Promise((resolve) => server.close(resolve)) : undefined
      }),
    )
  }
}

/** @param {import('node:http').Server} server @param {number} port @param {string} host @returns {Promise<void>} */
function listen(server, port, host) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, exclusive: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {number} status
 */
function refuse(request, response, status) {
  const text = `${REASONS[status]}\n`
  response.writeHead(status, {
    ...headersOf(null),
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    Connection: 'close',
    ...(status === 405 && { Allow: 'GET, HEAD' }),
    ...(status === 503 && { 'Retry-After': '5' }),
  })
  response.end(request.method === 'HEAD' ? undefined : text)
}

/**
 * @param {{ port?: number }} [options] A port of 0, the default, is any that is free.
 * @returns {Promise<Page>}
 */
async function openPage({ port = 0 } = {}) {
  const token = newToken()
  const server = new PageServer(token)
  await server.listen(port)
  return {
    port: server.port,
    // What follows # stays in the browser: it is in no request line, no log and no Referer.
    url: `http://${LOOPBACK[0]}:${server.port}/#${token}`,
    show: (picture) => server.show(picture),
    close: () => server.close(),
  }
}

module.exports = { openPage, MAX_CLIENTS }
