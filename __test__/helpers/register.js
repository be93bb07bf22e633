// The register that leases guard in the tests of faults: its own process, which accepts a write only with a token that
// is not below the highest it has seen for its key, and keeps a history of all it was told.
//
//   const register = await startRegister()            in the test
//   const { write, tell } = await connect(port)       in a worker: `write(…)` answers whether it was accepted
//   const { overlaps, staleAccepted } = await register.report()
'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const net = require('node:net')
const { createInterface } = require('node:readline')
const { analyse } = require('./register-report')

const HOST = '127.0.0.1'

/** The time of the clock that all processes of a host share and nobody sets. */
const nowMs = () => Number(process.hrtime.bigint()) / 1e6

// ── The register's side ──────────────────────────────────────────────────────────────────────────────

class Register {
  /** @type {Map<string, number>} */
  #highest = new Map()
  #fenced

  /** @param {boolean} fenced */
  constructor(fenced) {
    this.#fenced = fenced
    /** @type {import('./register-report').Event[]} */
    this.history = []
  }

  /** @param {import('./register-report').Event} event */
  hear(event) {
    if (event.type === 'history') return this.history
    if (event.type !== 'write') {
      this.history.push(event)
      return true
    }
    const highest = this.#highest.get(event.key) ?? -Infinity
    const accepted = !this.#fenced || event.token >= highest
    if (accepted) this.#highest.set(event.key, Math.max(highest, event.token))
    this.history.push({ ...event, at: nowMs(), accepted })
    return accepted
  }
}

/** Serves until the test that has started it is gone. */
function serve() {
  const register = new Register(process.argv[2] !== 'unfenced')
  const listener = net.createServer((socket) => {
    socket.on('error', () => {})
    const lines = createInterface({ input: socket })
    // It tells again of its socket's errors: a worker that is killed must not end the witness.
    lines.on('error', () => {})
    lines.on('line', (line) => {
      const { id, ...event } = JSON.parse(line)
      socket.write(`${JSON.stringify({ id, answer: register.hear(event) })}\n`)
    })
  })
  listener.listen(0, HOST, () => process.stdout.write(`${/** @type {net.AddressInfo} */ (listener.address()).port}\n`))
  process.stdin.on('end', () => process.exit()).resume()
}

// ── The workers' side ────────────────────────────────────────────────────────────────────────────────

/** @param {number} port */
async function connect(port) {
  const socket = net.connect({ port, host: HOST, noDelay: true })
  await once(socket, 'connect')
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: Error) => void }>} */
  const calls = new Map()
  let last = 0
  const lines = createInterface({ input: socket })
  lines.on('error', () => {})
  lines.on('line', (line) => {
    const { id, answer } = JSON.parse(line)
    calls.get(id)?.resolve(answer)
    calls.delete(id)
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    for (const { reject } of calls.values()) reject(new Error('the register is gone'))
  })
  const call = (type, event = {}) =>
    new Promise((resolve, reject) => {
      calls.set((last += 1), { resolve, reject })
      socket.write(`${JSON.stringify({ ...event, type, id: last })}\n`)
    })
  return {
    /** @param {{ key: string, token: number, worker: string, n: number }} write @returns {Promise<boolean>} Whether it was accepted. */
    write: (write) => call('write', write),
    /** @param {'grant' | 'belief' | 'kill' | 'calm'} type As in register-report.js. @param {object} event */
    tell: (type, event) => call(type, event),
    history: () => call('history'),
    close: () => socket.destroy(),
  }
}

// ── The test's side ──────────────────────────────────────────────────────────────────────────────────

/** @param {{ fenced?: boolean }} [options] Without its fence it accepts everything, to see that a test would notice. */
async function startRegister({ fenced = true } = {}) {
  const child = spawn(process.execPath, [__filename, fenced ? 'fenced' : 'unfenced'], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [port] = await once(createInterface({ input: child.stdout }), 'line')
  const { write, tell, history, close } = await connect(Number(port))
  return {
    port: Number(port),
    pid: child.pid,
    write,
    tell,
    history,
    report: async () => analyse(await history()),
    /** Resolves when the process has ended. */
    async stop() {
      close()
      const gone = child.exitCode === null ? once(child, 'exit') : undefined
      child.stdin.end()
      await gone
    },
  }
}

if (require.main === module) serve()

module.exports = { startRegister, connect, nowMs }
