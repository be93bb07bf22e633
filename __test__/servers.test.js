// The servers that the tests of leases stand on: they answer, keep their data over a kill, and leave nothing behind.
'use strict'

const assert = require('node:assert/strict')
const { existsSync, readFileSync } = require('node:fs')
const net = require('node:net')
const { join } = require('node:path')
const { after, describe, test } = require('node:test')
const { spawnSync } = require('node:child_process')
const { available, engineTest, startServer, startRedis, startPostgres } = require('./helpers/servers')
const { startNode, said } = require('./helpers/processes')
const { pause } = require('./helpers/waiting')

const SERVERS = join(__dirname, 'helpers', 'servers')
const LIMIT_MS = 60_000

/** How each engine writes one value, and reads it back. */
const ENGINES = {
  redis: {
    options: { aof: true },
    write: (server) => server.command('SET', 'key', 'value'),
    read: (server) => server.command('GET', 'key'),
  },
  postgres: {
    options: {},
    write: (server) => server.query("CREATE TABLE kept (value text); INSERT INTO kept VALUES ('value')"),
    read: async (server) => (await server.query('SELECT value FROM kept'))[0][0],
  },
  etcd: {
    options: {},
    write: (server) => server.call('/v3/kv/put', { key: btoa('key'), value: btoa('value') }),
    read: async (server) => atob((await server.call('/v3/kv/range', { key: btoa('key') })).kvs[0].value),
  },
}

/** Whether the process is there, and not only its remains that nobody has fetched. */
function lives(pid) {
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

/** For what another program does in its own time. */
async function soon(holds, what) {
  const end = performance.now() + LIMIT_MS
  while (!holds()) {
    assert.ok(performance.now() < end, what)
    await pause(10)
  }
}

/** @param {{ host: string, port: number }} server @returns {Promise<boolean>} */
const listens = ({ host, port }) =>
  new Promise((resolve) => {
    const socket = net.connect(port, host, () => socket.destroy() && resolve(true))
    socket.on('error', () => resolve(false))
  })

for (const [engine, { options, write, read }] of Object.entries(ENGINES)) {
  describe(engine, () => {
    let server
    const served = async () => (server ??= await startServer(engine, options))
    after(() => server?.stop())

    engineTest('answers as soon as it is started', engine, async () => {
      const { url, port, host } = await served()
      assert.equal(host, '127.0.0.1')
      assert.ok(url.startsWith(`${engine}://`) && url.includes(`127.0.0.1:${port}`), url)
      await write(server)
      assert.equal(await read(server), 'value')
    })

    engineTest('is dead after a kill and has its data after a restart, at its old port', engine, async () => {
      const { port, pid } = await served()
      await server.kill()
      assert.equal(server.running, false)
      assert.ok(!lives(pid))
      assert.equal(await listens(server), false)
      await server.restart()
      assert.equal(server.port, port)
      assert.notEqual(server.pid, pid)
      assert.equal(await read(server), 'value')
    })

    engineTest('says nothing while it is frozen, and goes on where it was', engine, async () => {
      await served()
      server.pause()
      let answered = false
      const answer = read(server).then((value) => {
        answered = true
        return value
      })
      await soon(() => /^\d+ \(.*\) T /s.test(readFileSync(`/proc/${server.pid}/stat`, 'latin1')), 'it is not frozen')
      await pause(100)
      assert.equal(answered, false)
      server.resume()
      assert.equal(await answer, 'value')
    })

    engineTest('is gone with its folder when it is stopped, frozen or not', engine, async () => {
      const { pid, folder } = await served()
      server.pause()
      await server.stop()
      assert.ok(!lives(pid))
      assert.ok(!existsSync(folder))
      await server.stop()
      await assert.rejects(server.restart(), /stopped for good/)
    })

    engineTest('dies with a test that is killed, and so does its folder', engine, async () => {
      const child = startNode(
        ({ data: { servers, engine, frozen } }) =>
          require(servers).startServer(engine).then((server) => {
            if (frozen) server.pause()
            process.stdout.write(`${JSON.stringify({ pid: server.pid, folder: server.folder })}\n`)
            setInterval(() => {}, 1_000)
          }),
        { servers: SERVERS, engine, frozen: true },
      )
      const { pid, folder } = JSON.parse(await said(child, '\n'))
      assert.ok(lives(pid))
      child.child.kill('SIGKILL')
      await child.ended
      await soon(() => !lives(pid), 'the server has outlived its test')
      await soon(() => !existsSync(folder), 'its folder is left')
    })

    engineTest('does not keep a test from ending that forgets it', engine, async () => {
      const child = startNode(({ data: { servers, engine } }) => require(servers).startServer(engine).then((server) => process.stdout.write(`${server.pid}\n`)), { servers: SERVERS, engine })
      const { code, stdout, stderr } = await child.ended
      assert.equal(code, 0, stderr)
      await soon(() => !lives(Number(stdout)), 'the server has outlived its test')
    })
  })
}

engineTest('redis with a password refuses who has none', 'redis', async (t) => {
  const server = await startRedis({ password: 'p@ss/word' })
  t.after(() => server.stop())
  assert.equal(new URL(server.url).password, 'p%40ss%2Fword')
  assert.equal(await server.command('PING'), 'PONG')
  server.options.password = undefined
  await assert.rejects(server.command('PING'), /NOAUTH/)
})

engineTest('redis without its file forgets with a kill', 'redis', async (t) => {
  const server = await startRedis()
  t.after(() => server.stop())
  await server.command('SET', 'key', 'value')
  assert.deepEqual(await server.command('MGET', 'key', 'other'), ['value', null])
  await server.restart()
  assert.equal(await server.command('GET', 'key'), null)
})

engineTest('postgres with a password asks for it; its databases are their own', 'postgres', async (t) => {
  const server = await startPostgres({ password: true, settings: { max_connections: 7 } })
  t.after(() => server.stop())
  assert.deepEqual(await server.query('SHOW max_connections'), [['7']])
  const [one, other] = [await server.createDatabase(), await server.createDatabase()]
  assert.notEqual(one, other)
  await server.query('CREATE TABLE here ()', one)
  assert.deepEqual(await server.query("SELECT to_regclass('here') IS NULL", other), [['t']])
  server.password = 'another'
  await assert.rejects(server.query('SELECT 1'), /password authentication failed/)
})

describe('a missing engine', () => {
  // Without the programs, and with the old word for a test inside a test forgotten.
  const source = `
    const { engineTest, available, whyNot } = require(${JSON.stringify(SERVERS)})
    engineTest('needs it', 'etcd', () => { console.log('has run') })
    console.log('available', available('etcd'), available('sqlite'))`
  const runWithout = (env) => {
    const { NODE_TEST_CONTEXT, CI, ...rest } = process.env
    return spawnSync(process.execPath, ['-e', source], { env: { ...rest, PATH: '/nowhere', ...env }, encoding: 'utf8' })
  }

  test('is a loud skip', () => {
    const { status, stdout } = runWithout({})
    assert.equal(status, 0, stdout)
    assert.match(stdout, /available false true/)
    assert.match(stdout, /SKIPPED: no etcd here \(Debian: apt-get install etcd-server\)/)
    assert.doesNotMatch(stdout, /has run/)
  })

  test('is a failure with CI set', () => {
    const { status, stdout } = runWithout({ CI: 'true' })
    assert.equal(status, 1, stdout)
    assert.match(stdout, /with CI set, a missing engine is a failure/)
  })

  test('that nobody knows is a mistake', () => {
    assert.throws(() => available('mysql'), /no such engine: mysql/)
  })
})
