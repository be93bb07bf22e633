// The proxy that stands between clients and servers in the tests of leases, in front of a server that answers a line
// with the same line and keeps what it got.
'use strict'

const assert = require('node:assert/strict')
const { once } = require('node:events')
const net = require('node:net')
const { afterEach, beforeEach, describe, test } = require('node:test')
const { startProxy } = require('./helpers/tcp-proxy')
const { until } = require('./helpers/waiting')

let echo
let proxy
/** All lines that have reached the server. */
let got
let clients

beforeEach(async () => {
  got = []
  clients = []
  echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.setEncoding('utf8').on('error', () => {})
    socket.on('data', (text) => {
      got.push(...text.split('\n').filter(Boolean))
      socket.write(text)
    })
    socket.on('end', () => socket.end('bye\n'))
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  proxy = await startProxy(echo.address().port)
})

afterEach(async () => {
  for (const { socket } of clients) socket.destroy()
  await proxy.stop()
  echo.close()
})

/** A client that keeps what it is told: `text`, and in `ended` how its connection ended. */
async function connect() {
  const socket = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true })
  const client = { socket, text: '', ended: undefined, say: (line) => socket.write(`${line}\n`) }
  socket.setEncoding('utf8').on('data', (text) => (client.text += text))
  socket.on('end', () => (client.ended ??= 'end'))
  socket.on('error', ({ code }) => (client.ended = code))
  clients.push(client)
  await once(socket, 'connect')
  return client
}

/** A client that the server has already answered. */
async function connected() {
  const client = await connect()
  client.say('hello')
  await until(() => client.text === 'hello\n')
  client.text = ''
  got.length = 0
  return client
}

describe('a proxy', () => {
  test('passes what is said, counts it, and stands in an url for its server', async () => {
    const client = await connected()
    assert.equal(proxy.connections, 1)
    assert.equal(proxy.accepted, 1)
    assert.equal(proxy.bytesUp, 6)
    assert.equal(proxy.bytesDown, 6)
    client.say('one')
    await until(() => client.text === 'one\n')
    assert.equal(proxy.requestsUp, 2)
    assert.equal(proxy.roundTrips, 2)
    assert.equal(proxy.url('postgres://me:a%2Fb@127.0.0.1:1/db?x=1'), `postgres://me:a%2Fb@127.0.0.1:${proxy.port}/db?x=1`)
    assert.equal(new URL(proxy.url('redis://10.0.0.1:6379')).host, `127.0.0.1:${proxy.port}`)
  })

  test('passes the end of one side on, and the other side may still speak', async () => {
    const client = await connected()
    client.socket.end()
    await until(() => client.text === 'bye\n' && client.ended === 'end')
    await until(() => proxy.connections === 0)
  })

  test('loses everything as a black hole, keeps the connection, and cuts it when it passes again', async () => {
    const [client, other] = [await connected(), await connected()]
    proxy.blackHole()
    client.say('lost')
    await until(() => proxy.bytesUp === 17)
    const late = await connect()
    late.say('lost, too')
    await until(() => proxy.bytesUp === 27)
    assert.deepEqual([client.ended, late.ended, client.text, late.text, got], [undefined, undefined, '', '', []])
    proxy.pass()
    await until(() => client.ended === 'ECONNRESET' && late.ended === 'ECONNRESET')
    // Who said nothing has missed nothing.
    other.say('here')
    await until(() => other.text === 'here\n')
    assert.deepEqual(got, ['here'])
  })

  test('delivers late and in order what it has held', async () => {
    const client = await connected()
    proxy.hold()
    client.say('one')
    await until(() => proxy.bytesUp === 10)
    client.say('two')
    await until(() => proxy.bytesUp === 14)
    assert.deepEqual(got, [])
    proxy.pass()
    await until(() => client.text === 'one\ntwo\n')
    assert.deepEqual(got, ['one', 'two'])
  })

  test('delays each direction', async () => {
    const client = await connected()
    proxy.delay(40)
    const started = performance.now()
    client.say('one')
    client.say('two')
    await until(() => client.text === 'one\ntwo\n')
    assert.ok(performance.now() - started >= 80, 'it came too early')
    proxy.pass()
    client.say('three')
    await until(() => client.text === 'one\ntwo\nthree\n')
  })

  test('cuts after it has forwarded: it has happened, and the client does not hear of it', async () => {
    const [client, other] = [await connected(), await connected()]
    const cut = proxy.cutAfterForward((bytes) => bytes.includes('write'))
    other.say('read')
    await until(() => other.text === 'read\n')
    client.say('write')
    await cut
    await until(() => client.ended === 'ECONNRESET')
    assert.equal(client.text, '')
    assert.deepEqual(got, ['read', 'write'])
    const again = await connect()
    again.say('write')
    await until(() => again.text === 'write\n')
    assert.equal(other.ended, undefined)
  })

  test('cuts before it forwards: it has not happened, and the client does not hear of it', async () => {
    const client = await connected()
    const cut = proxy.cutBeforeForward()
    client.say('write')
    await cut
    await until(() => client.ended === 'ECONNRESET')
    assert.deepEqual(got, [])
  })

  test('cuts all connections at once', async () => {
    const [client, other] = [await connected(), await connected()]
    proxy.cut()
    await until(() => client.ended === 'ECONNRESET' && other.ended === 'ECONNRESET' && proxy.connections === 0)
    await connected()
  })

  test('refuses whoever is there and whoever comes', async () => {
    const client = await connected()
    proxy.refuse()
    await until(() => client.ended === 'ECONNRESET')
    const late = await connect().catch(() => clients.at(-1))
    await until(() => late.ended === 'ECONNRESET')
    proxy.pass()
    await connected()
  })

  test('forgets its plans and its counts', async () => {
    const client = await connected()
    proxy.cutAfterForward()
    proxy.delay(60_000)
    proxy.reset()
    client.say('one')
    await until(() => client.text === 'one\n')
    assert.deepEqual([proxy.accepted, proxy.bytesUp, proxy.requestsUp, proxy.roundTrips], [0, 4, 1, 1])
  })

  test('resets its client when there is no server', async () => {
    echo.close()
    const client = await connect().catch(() => clients.at(-1))
    await until(() => client.ended !== undefined)
    assert.equal(client.ended, 'ECONNRESET')
  })
})
