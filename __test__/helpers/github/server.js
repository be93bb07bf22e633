// The HTTP side of the tests' GitHub: reads a request, checks it, lets the chosen fault happen, checks and writes the
// answer, and keeps the log.
'use strict'

const { createHash, randomUUID } = require('node:crypto')
const http = require('node:http')
const { setTimeout: sleep } = require('node:timers/promises')
const { operationOf, checkRequest, checkAnswer } = require('./contract')
const { matches } = require('./faults')
const { answerGraphql, readRequest } = require('./graphql')
const { RateLimit } = require('./limits')
const { Refusal, mayWrite } = require('./repository')
const { REST } = require('./rest')

const DOCUMENTATION = 'https://docs.github.com/rest'
const SECONDARY_LIMIT_PAGE = `${DOCUMENTATION}/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits`
const DEFAULT_LIMIT = 5000

class GitHubServer {
  /** @type {{ method: string, path: string, operation: string, at: number, fault: string | null, status: number | null }[]} */
  log = []
  /** @type {{ operation: string, part: 'request' | 'answer', faults: string[] }[]} */
  violations = []
  #world
  #faults
  #token
  #handlers
  #restBase
  #graphqlPath
  #http = http.createServer((request, response) => this.#track(this.#serve(request, response), response))
  #running = new Set()
  #stopped = new AbortController()
  #stops = new Promise((resolve) => this.#stopped.signal.addEventListener('abort', resolve, { once: true }))

  constructor({ world, faults, token, ghes, handlers }) {
    this.#world = world
    this.#faults = faults
    this.#token = token
    this.#handlers = { ...REST, ...handlers }
    this.#restBase = ghes ? '/api/v3' : ''
    this.#graphqlPath = ghes ? '/api/graphql' : '/graphql'
    // A client's idle connection is not to end by itself: cut connections are faults, and told.
    this.#http.keepAliveTimeout = 600_000
  }

  /** @param {number} port */
  async listen(port) {
    await new Promise((resolve, reject) => this.#http.once('error', reject).listen(port, '127.0.0.1', () => resolve(null)))
    const address = /** @type {import('node:net').AddressInfo} */ (this.#http.address())
    return `http://127.0.0.1:${address.port}`
  }

  count(matcher = {}) {
    return this.log.filter((line) => matches(matcher, line)).length
  }

  /** Resolves when nothing that was asked is still to be done. */
  async idle() {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }

  async stop() {
    this.#stopped.abort()
    this.#http.close()
    this.#http.closeAllConnections()
    await this.idle()
  }

  #track(serving, response) {
    const done = serving.catch((error) => {
      if (this.#stopped.signal.aborted) return
      this.violations.push({ operation: '', part: 'answer', faults: [String(error.stack)] })
      if (!response.headersSent && !response.destroyed) response.writeHead(500).end()
    })
    this.#running.add(done)
    done.finally(() => this.#running.delete(done))
  }

  // ── One request ────────────────────────────────────────────────────────────────────────────────────────

  async #serve(message, response) {
    const text = await textOf(message)
    if (text === null) return
    if (this.control?.(message, text, response)) return
    const request = this.#read(message, text)
    const { method, path, operation } = request
    const line = { method, path, operation, at: Date.now(), fault: null, status: null }
    this.log.push(line)
    const fault = this.#faults.pick(request)
    if (fault !== null) line.fault = fault.kind
    const exchange = { request, response, line, limit: this.#limitOf(request) }
    await this.#serveWith(fault, exchange)
  }

  async #serveWith(fault, exchange) {
    const { request, response } = exchange
    const wait = () => (fault.until ? Promise.race([fault.until, this.#stops]) : sleep(fault.ms, undefined, { signal: this.#stopped.signal }))
    const cut = () => response.destroy()
    switch (fault?.kind) {
      case 'lost-before':
        return cut()
      case 'lost-after':
        await this.#answer(request, exchange)
        return cut()
      case 'late':
        cut()
        await wait()
        return void (await this.#answer(request, exchange))
      case '502-after':
        await this.#answer(request, exchange)
        return this.#write(exchange, { status: 502, text: '<html><body>Unicorn!</body></html>' })
      case 'secondary-limit':
        return this.#write(exchange, secondaryLimit(fault.seconds))
      case 'rate-limit':
        this.#spendAll(exchange, fault.seconds)
        break
      case 'delay':
        await wait()
        break
      case 'stale-read':
        return this.#write(exchange, await this.#answer({ ...request, asOf: fault.asOf ?? performance.now() - fault.ms }, exchange))
    }
    this.#write(exchange, await this.#answer(request, exchange))
  }

  #read(message, text) {
    const url = new URL(message.url ?? '/', 'http://localhost')
    const head = { method: message.method ?? '', path: url.pathname, headers: message.headers, url }
    const body = parsed(text)
    if (url.pathname === this.#graphqlPath && head.method === 'POST') {
      return { ...head, graphql: true, body: body.value, ...readRequest(body.value) }
    }
    const inside = url.pathname.startsWith(this.#restBase)
    const found = inside ? operationOf(head.method, url.pathname.slice(this.#restBase.length)) : null
    const operation = found?.operation.id ?? ''
    return { ...head, graphql: false, found, operation, isWrite: head.method !== 'GET', body: body.value, broken: body.broken }
  }

  #limitOf({ graphql, path }) {
    if (path.endsWith('/rate_limit')) return null
    return this.#world.limits[graphql ? 'graphql' : 'core']
  }

  #spendAll(exchange, seconds) {
    const name = exchange.request.graphql ? 'graphql' : 'core'
    this.#world.limits[name] ??= new RateLimit(this.#world.clock, name, DEFAULT_LIMIT)
    exchange.limit = this.#world.limits[name]
    exchange.limit.exhaust(seconds)
  }

  // ── Its answer ─────────────────────────────────────────────────────────────────────────────────────────

  /** Does what is asked, unless it may not. */
  async #answer(request, { limit, line }) {
    if (!request.headers['user-agent']) return this.#violation(request, 'request', ['header: user-agent is missing'])
    if (!this.#isAuthorized(request)) return refused(new Refusal(401, 'Bad credentials'))
    if (limit !== null && !limit.spend()) {
      line.fault = 'rate-limit'
      return overLimit(request)
    }
    return request.graphql ? this.#answerGraphql(request) : this.#answerRest(request)
  }

  #isAuthorized({ headers }) {
    return /^(?:bearer|token) (.+)$/i.exec(headers.authorization ?? '')?.[1] === this.#token
  }

  async #answerGraphql(request) {
    const { faults = [], ...answer } = await answerGraphql(this.#world, request, request.body ?? {}, request.asOf)
    if (request.faults.length + faults.length > 0) this.#violation(request, 'request', [...request.faults, ...faults])
    return answer
  }

  async #answerRest(request) {
    const { found, method, url, body, broken } = request
    if (broken) return refused(new Refusal(400, 'Problems parsing JSON'))
    if (found === null) return this.#violation(request, 'request', [`no operation ${method} ${url.pathname}`])
    const { faults, params } = checkRequest(found, Object.fromEntries(url.searchParams), body)
    if (faults.length > 0) return this.#violation(request, 'request', faults)
    const answer = await this.#handle(request, params)
    const wrong = checkAnswer(found.operation, answer.status, answer.body)
    return wrong.length > 0 ? this.#violation(request, 'answer', wrong) : answer
  }

  async #handle({ operation, isWrite, body, asOf }, params) {
    const { repository, access } = this.#world
    try {
      if (params.repo !== undefined && `${params.owner}/${params.repo}`.toLowerCase() !== repository.fullName.toLowerCase()) {
        throw new Refusal(404, 'Not Found')
      }
      if (isWrite) mayWrite(access)
      return await this.#handlers[operation](this.#world, { params, body, asOf })
    } catch (error) {
      if (error instanceof Refusal) return refused(error)
      throw error
    }
  }

  #violation({ operation, method, path }, part, faults) {
    this.violations.push({ operation: operation || `${method} ${path}`, part, faults })
    return refused(new Refusal(500, `The ${part} is not as GitHub describes it: ${faults.join('; ')}`))
  }

  #write({ request, response, line, limit }, { status, body, text = body && JSON.stringify(body), headers = {} }) {
    const tag = request.method === 'GET' && status === 200 ? `W/"${createHash('sha256').update(text).digest('hex')}"` : null
    const unchanged = tag !== null && knows(request.headers['if-none-match'], tag)
    if (unchanged) limit?.giveBack()
    line.status = unchanged ? 304 : status
    if (response.destroyed) return
    response.sendDate = false
    response.writeHead(line.status, {
      date: this.#world.clock.now().toUTCString(),
      'x-github-request-id': randomUUID(),
      ...(text !== undefined && !unchanged && { 'content-type': body ? 'application/json; charset=utf-8' : 'text/html' }),
      ...(tag !== null && { etag: tag, 'cache-control': 'private, max-age=60, s-maxage=60' }),
      ...limit?.headers(),
      ...headers,
    })
    response.end(unchanged ? undefined : text)
  }
}

function secondaryLimit(seconds) {
  const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.'
  return { status: 403, body: { message, documentation_url: SECONDARY_LIMIT_PAGE }, headers: { 'retry-after': String(seconds) } }
}

/** REST refuses; GraphQL answers 200 and an error. */
function overLimit({ graphql }) {
  const message = 'API rate limit exceeded for the user.'
  if (graphql) return { status: 200, body: { errors: [{ type: 'RATE_LIMITED', message }] } }
  return refused(new Refusal(403, message))
}

function refused({ status, message }) {
  return { status, body: { message, documentation_url: DOCUMENTATION, status: String(status) } }
}

/** Whether the client has this very answer already. */
function knows(header, tag) {
  return header !== undefined && header.split(',').some((one) => one.trim().replace(/^W\//, '') === tag.replace(/^W\//, ''))
}

function parsed(text) {
  try {
    return { value: text === '' ? undefined : JSON.parse(text), broken: false }
  } catch {
    return { value: undefined, broken: true }
  }
}

/** The body, or null when the client has gone away before its end. */
async function textOf(message) {
  const chunks = []
  try {
    for await (const chunk of message) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  } catch {
    return null
  }
}

module.exports = { GitHubServer }
