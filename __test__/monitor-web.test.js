// S4: the page's server: who is refused and how, what every answer carries, how many may look, what a slow one costs,
// and that the stream tells only what changed. What a browser makes of it is in monitor-browser.alone.test.js.
'use strict'

const { test, describe, afterEach } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { openPage, MAX_CLIENTS } = require('../lib/monitor/web/server')
const { Telling } = require('../lib/monitor/web/message')
const { Recorder } = require('../lib/monitor/recorder')
const { pictureOf } = require('../lib/monitor/picture')
const { pictureAfter } = require('./helpers/monitor')
const { until } = require('./helpers/waiting')
const scenes = require('./helpers/monitor-scenes')

const PAGE = path.join(__dirname, '../lib/monitor/web/page.html')
const picture = pictureAfter(scenes.stuck)
const open = new Set()

async function opened() {
  const page = await openPage()
  page.show(picture)
  open.add(page)
  return { ...page, token: new URL(page.url).hash.slice(1) }
}
afterEach(async () => {
  for (const page of open) await page.close()
  open.clear()
})

/** One request, whatever its headers say; the answer with what of its body came. */
function ask(port, { path: where = '/', method = 'GET', headers = {}, host = '127.0.0.1', keep = false } = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, path: where, method, headers, agent: false }, (response) => {
      const answer = { status: response.statusCode, headers: response.headers, text: '', response, closed: false, leave: () => request.destroy() }
      response.setEncoding('utf8').on('data', (text) => (answer.text += text))
      response.on('error', () => {})
      response.on('close', () => (answer.closed = true))
      if (keep) resolve(answer)
      else response.on('end', () => resolve(answer))
    })
    request.on('error', reject)
    request.end()
  })
}
const stream = (page, more = {}) => ask(page.port, { path: '/stream', keep: true, headers: { authorization: `Bearer ${page.token}` }, ...more })
const messages = ({ text }) => text.split('\n\n').slice(0, -1).map((part) => JSON.parse(part.replace(/^data: /, '')))

describe('who is refused', () => {
  const REFUSED = {
    'another name for this machine (rebinding)': { headers: { host: 'evil.example:PORT' }, status: 421 },
    'the right name at another port': { headers: { host: '127.0.0.1:1' }, status: 421 },
    'a name that only begins like ours': { headers: { host: '127.0.0.1.evil.example:PORT' }, status: 421 },
    'no port': { headers: { host: '127.0.0.1' }, status: 421 },
    'a foreign Origin': { headers: { origin: 'https://evil.example' }, status: 403 },
    'the Origin null of a sandbox': { headers: { origin: 'null' }, status: 403 },
    'the Origin of another port here': { headers: { origin: 'http://127.0.0.1:1' }, status: 403 },
    'https where there is none': { headers: { origin: 'https://127.0.0.1:PORT' }, status: 403 },
    'a cross-site request': { headers: { 'sec-fetch-site': 'cross-site' }, status: 403 },
    'a same-site request of another port': { headers: { 'sec-fetch-site': 'same-site' }, status: 403 },
    'a frame': { headers: { 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'iframe' }, status: 403 },
    'a script tag': { headers: { 'sec-fetch-dest': 'script' }, status: 403 },
    POST: { method: 'POST', status: 405 },
    PUT: { method: 'PUT', status: 405 },
    DELETE: { method: 'DELETE', status: 405 },
    PATCH: { method: 'PATCH', status: 405 },
    'OPTIONS (a preflight)': { method: 'OPTIONS', status: 405 },
    TRACE: { method: 'TRACE', status: 405 },
    'another path': { path: '/../../etc/passwd', status: 404 },
    'a path beside': { path: '/stream/x', status: 404 },
  }
  for (const [name, { status, headers = {}, ...request }] of Object.entries(REFUSED)) {
    test(`${name}: ${status}, with and without the token, on page and stream`, async () => {
      const page = await opened()
      const withPort = Object.fromEntries(Object.entries(headers).map(([key, value]) => [key, value.replace('PORT', page.port)]))
      for (const where of request.path ? [request.path] : ['/', '/stream']) {
        for (const token of [{}, { authorization: `Bearer ${page.token}` }]) {
          const answer = await ask(page.port, { ...request, path: where, headers: { ...withPort, ...token } })
          assert.equal(answer.status, status)
          assert.ok(!answer.text.includes('send'), 'nothing of the locks')
          assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
        }
      }
    })
  }

  test('the stream without the token, or with a wrong one: 401', async () => {
    const page = await opened()
    const { token } = page
    const last = token.endsWith('A') ? 'B' : 'A'
    const wrong = ['', 'Bearer', `Bearer ${token.slice(0, -1)}`, `Bearer ${token}x`, `Bearer ${token.slice(0, -1)}${last}`, `Basic ${token}`, token, `Bearer ${'x'.repeat(5_000)}`]
    for (const authorization of wrong) {
      // A stream that is given has no end to wait for.
      const answer = await ask(page.port, { path: '/stream', headers: { authorization }, keep: true })
      answer.leave()
      assert.equal(answer.status, 401, authorization.slice(0, 60))
    }
    assert.equal((await ask(page.port, { path: `/stream?token=${token}` })).status, 401, 'no token in an address')
  })

  test('a token has 256 bits, and each page its own', async () => {
    const tokens = [(await opened()).token, (await opened()).token]
    for (const token of tokens) assert.equal(Buffer.from(token, 'base64url').length, 32)
    assert.notEqual(tokens[0], tokens[1])
  })

  test('nothing listens but on the loopback addresses', async (t) => {
    const page = await opened()
    const outside = Object.values(os.networkInterfaces()).flat().find(({ internal, family }) => !internal && family === 'IPv4')
    if (outside === undefined) return t.skip('NOT TESTED: this machine has no other address')
    await assert.rejects(ask(page.port, { host: outside.address }), { code: 'ECONNREFUSED' })
  })

  test('what is no request is dropped without a word; a request that names nobody is refused', async () => {
    const page = await opened()
    const answerTo = (bytes) => new Promise((resolve) => {
      let text = ''
      const socket = net.connect(page.port, '127.0.0.1', () => socket.write(bytes))
      socket.on('data', (more) => (text += more))
      socket.on('error', () => {})
      socket.on('close', () => resolve(text))
    })
    assert.equal(await answerTo('\u0000\u0001 nonsense\r\n\r\n'), '')
    assert.match(await answerTo('GET / HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 421 /)
    assert.equal((await ask(page.port)).status, 200)
  })
})

describe('what is answered', () => {
  test('the page: one file, at most 40 KB, that asks for nothing else', async () => {
    const page = await opened()
    const answer = await ask(page.port)
    assert.equal(answer.status, 200)
    assert.ok(Buffer.byteLength(answer.text) <= 40 * 1024, `${Buffer.byteLength(answer.text)} bytes`)
    assert.ok(!answer.text.includes('{{nonce}}'))
    assert.ok(!answer.text.includes(page.token))
    const outside = fs.readFileSync(PAGE, 'utf8').match(/(?:src|href|action|url)\s*[=(]\s*["']?(?!data:,|#stripes)[^\s"')]+/g)
    assert.deepEqual(outside, null)
    // Text is set, never markup: Trusted Types would refuse it, and no browser has to.
    assert.doesNotMatch(answer.text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|\son\w+=/)
  })

  test('every answer carries every wall', async () => {
    const page = await opened()
    const answers = [
      await ask(page.port),
      await ask(page.port, { method: 'HEAD' }),
      await ask(page.port, { method: 'POST' }),
      await ask(page.port, { path: '/nowhere' }),
      await ask(page.port, { headers: { host: 'evil.example' } }),
      await ask(page.port, { path: '/stream' }),
      await stream(page),
    ]
    for (const { headers, response } of answers) {
      const policy = headers['content-security-policy'].split('; ')
      for (const rule of ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"]) {
        assert.ok(policy.includes(rule), `${response.statusCode}: ${rule}`)
      }
      assert.doesNotMatch(headers['content-security-policy'], /unsafe/)
      assert.equal(headers['cache-control'], 'no-store')
      assert.equal(headers['cross-origin-resource-policy'], 'same-origin')
      assert.equal(headers['cross-origin-opener-policy'], 'same-origin')
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['x-frame-options'], 'DENY')
      assert.equal(headers['referrer-policy'], 'no-referrer')
      assert.equal(headers['access-control-allow-origin'], undefined)
    }
    assert.equal(answers[1].text, '')
    answers.at(-1).leave()
  })

  test('the nonce is new each time', async () => {
    const page = await opened()
    const nonces = await Promise.all([1, 2, 3].map(async () => /nonce-([^']+)'/.exec((await ask(page.port)).headers['content-security-policy'])[1]))
    assert.equal(new Set(nonces).size, 3)
  })

  test('under all three names of this machine', async () => {
    const page = await opened()
    for (const name of ['127.0.0.1', 'localhost', '[::1]']) {
      const headers = { host: `${name}:${page.port}`, origin: `http://${name}:${page.port}`, 'sec-fetch-site': 'same-origin', 'sec-fetch-dest': 'empty' }
      assert.equal((await ask(page.port, { headers })).status, 200)
    }
  })
})

describe('the stream', () => {
  test('the first message has the verdict and everything else', async () => {
    const page = await opened()
    const answer = await stream(page)
    await until(() => messages(answer).length > 0)
    const [first] = messages(answer)
    assert.equal(first.verdict[0].rule, 'STUCK')
    assert.deepEqual(first.order.map((id) => first.locks.find((lock) => lock.id === id).name), ['send', 'index', 'reports', 'idle'])
    assert.equal(first.tracks.length, first.titles.length)
    answer.leave()
  })

  test('then only what changed: time alone changes nothing', () => {
    const recorder = new Recorder()
    const telling = new Telling()
    const next = (at) => {
      const snapshot = scenes.stuck(at)
      recorder.take(snapshot)
      return telling.next(pictureOf(snapshot, recorder))
    }
    const first = next(scenes.AT)
    assert.equal(first.locks.length, 4)
    const second = next(scenes.AT + 1_000)
    assert.equal(second.locks.some(({ name }) => name === 'send'), false, 'the lock that is merely held on')
    assert.deepEqual(['order', 'health', 'processes', 'recent', 'counts', 'titles'].filter((key) => key in second), [])
    assert.ok(second.tracks.every(({ index }) => !['agent', 'controller', 'fallback'].includes(first.titles[index])))
  })

  test('at most five messages a second, the last of them the newest', async () => {
    const page = await opened()
    const answer = await stream(page)
    await until(() => messages(answer).length > 0)
    const started = performance.now()
    for (let index = 1; performance.now() - started < 1_000; index += 1) {
      page.show(pictureAfter((at) => scenes.snapshot({ takenAtMs: at, verdict: [{ ...scenes.OK, sentence: `number ${index}` }] }), 0))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    page.show(pictureAfter((at) => scenes.snapshot({ takenAtMs: at, verdict: [{ ...scenes.OK, sentence: 'the last' }] }), 0))
    const seconds = (performance.now() - started) / 1_000
    await until(() => messages(answer).at(-1).verdict?.[0].sentence === 'the last')
    const count = messages(answer).length - 2
    assert.ok(count <= 5 * seconds + 1, `${count} messages in ${seconds} s`)
    answer.leave()
  })

  test(`${MAX_CLIENTS} may look; the next is told so, until one leaves`, async () => {
    const page = await opened()
    const clients = []
    for (let index = 0; index < MAX_CLIENTS; index += 1) clients.push(await stream(page))
    assert.ok(clients.every(({ status }) => status === 200))
    const refused = await ask(page.port, { path: '/stream', headers: { authorization: `Bearer ${page.token}` } })
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '5'])
    clients[0].leave()
    let again
    for (let tries = 0; tries < 500 && again?.status !== 200; tries += 1) again = await stream(page)
    assert.equal(again.status, 200)
    for (const client of [...clients, again]) client.leave()
  })

  test('who does not read is dropped at a bounded backlog; who reads notices nothing', async () => {
    const page = await opened()
    const slow = await stream(page)
    slow.response.pause()
    slow.response.removeAllListeners('data')
    const quick = await stream(page)
    const before = process.memoryUsage().rss
    const dropped = new Promise((resolve) => slow.response.socket.once('close', resolve))
    let shown = 0
    const timer = setInterval(() => {
      shown += 1
      // Names that all change make the largest messages there are.
      const locks = Array.from({ length: 200 }, (_, index) => scenes.lock(`${shown}-${'n'.repeat(60)}-${index}`, { holders: [scenes.holder({ layer: 'x'.repeat(64), label: String(shown) })] }))
      page.show(pictureAfter((at) => scenes.snapshot({ takenAtMs: at, locks }), 0))
    }, 200)
    // Counted as they come: to read all of them in each turn of the loop would take most of the time, and of the memory.
    let told = 0
    quick.response.on('data', (text) => (told += text.split('\n\n').length - 1))
    await until(() => told >= 40, 'forty messages for the one who reads', 120_000)
    slow.response.resume()
    const ended = await Promise.race([dropped.then(() => 'dropped'), new Promise((resolve) => setTimeout(resolve, 60_000, 'still there').unref())])
    clearInterval(timer)
    assert.equal(ended, 'dropped')
    assert.equal(quick.closed, false)
    assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024)
    quick.leave()
  })
})
