// Processes that are given orders over their control sockets, in a private folder of the test's own.
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const path = require('node:path')
const { folder } = require('./folders')
const { startNode, said } = require('./processes')
const { until } = require('./waiting')
const client = require('../../lib/control/client')

const { ControlError } = client
/** Patient: the machine may be busy. */
const request = (pid, frame, options) => client.request(pid, frame, { timeoutMs: 30_000, ...options })

/** The sockets of one test: every process that it starts has this private folder. */
function controlWorld(t) {
  const home = folder(t)
  const sockets = path.join(home, 'chainlock', 'control')
  const started = []
  t.after(async () => {
    for (const { child } of started) child.kill('SIGKILL')
    await Promise.all(started.map(({ ended }) => ended))
  })
  return {
    home,
    sockets,
    socketOf: (pid) => path.join(sockets, `${pid}.sock`),
    /** Starts `program`, and waits until it has said 'ready' and can be reached. */
    async start(program, data, { env = {}, reachable = true } = {}) {
      const process = startNode(program, data, { env: { XDG_RUNTIME_DIR: home, ...env } })
      started.push(process)
      await said(process, 'ready')
      const pid = process.child.pid
      const at = path.join(env.XDG_RUNTIME_DIR ?? home, 'chainlock', 'control', `${pid}.sock`)
      if (reachable) await until(() => fs.existsSync(at), 'the control socket')
      return { ...process, pid, said: (text) => said(process, text) }
    },
  }
}

/** What an order is refused for. */
async function refusal(promise) {
  try {
    return { answer: await promise }
  } catch (error) {
    if (error instanceof ControlError) return { code: error.code, message: error.message }
    throw error
  }
}

/** Sends bytes as they are; what comes back until the other end closes, or `lines` lines. */
function raw(socket, bytes, lines = Infinity) {
  return new Promise((resolve, reject) => {
    const connection = net.connect(socket)
    let text = ''
    const end = () => {
      connection.destroy()
      resolve(text)
    }
    connection.setEncoding('utf8')
    connection.on('connect', () => connection.write(bytes))
    connection.on('data', (piece) => {
      text += piece
      if (text.split('\n').length > lines) end()
    })
    connection.on('error', (error) => (text === '' ? reject(error) : end()))
    connection.on('end', end)
  })
}

module.exports = { controlWorld, refusal, raw, request }
