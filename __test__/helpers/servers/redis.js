// Redis, started for a test, and the few words of its protocol that a test says to it directly.
'use strict'

const net = require('node:net')
const { program } = require('./find')
const { Server } = require('./server')

const ANSWER_LIMIT_MS = 20_000

/** One answer in its wire form, and where it ends; undefined if it is not yet all there. @param {Buffer} bytes */
function parse(bytes, start = 0) {
  const end = bytes.indexOf('\r\n', start)
  if (end < 0) return undefined
  const [kind, rest, next] = [String.fromCharCode(bytes[start]), bytes.toString('utf8', start + 1, end), end + 2]
  if (kind === '+') return { value: rest, next }
  if (kind === '-') return { value: new Error(rest), next }
  if (kind === ':') return { value: Number(rest), next }
  if (Number(rest) < 0) return { value: null, next }
  if (kind === '*') return parseArray(bytes, next, Number(rest))
  const after = next + Number(rest)
  return bytes.length < after + 2 ? undefined : { value: bytes.toString('utf8', next, after), next: after + 2 }
}

function parseArray(bytes, start, length) {
  const value = []
  let next = start
  while (value.length < length) {
    const element = parse(bytes, next)
    if (!element) return undefined
    value.push(element.value)
    next = element.next
  }
  return { value, next }
}

/** @param {readonly (string | number | Buffer)[]} words */
function written(words) {
  const parts = words.flatMap((word) => {
    const bytes = Buffer.isBuffer(word) ? word : Buffer.from(String(word))
    return [Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')]
  })
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts])
}

/** Says commands over a connection of their own, and answers the last one's answer. */
function say({ host, port }, commands) {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    let left = commands.length
    const socket = net.connect(port, host, () => socket.write(Buffer.concat(commands.map(written))))
    const fail = (error) => {
      socket.destroy()
      reject(error)
    }
    socket.setTimeout(ANSWER_LIMIT_MS, () => fail(new Error('no answer')))
    socket.on('error', fail)
    socket.on('close', () => reject(new Error('closed without an answer')))
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (let answer = parse(bytes); answer; answer = parse(bytes)) {
        if (answer.value instanceof Error) return fail(answer.value)
        bytes = bytes.subarray(answer.next)
        left -= 1
        if (left > 0) continue
        resolve(answer.value)
        return socket.destroy()
      }
    })
  })
}

/** @type {import('./server').Kind} */
const KIND = {
  name: 'redis',
  command(server) {
    const { aof, password, args } = /** @type {Redis} */ (server).options
    // With `always` and `everysec` a write may wait for a sync of the disk; without any sync it is in the file before
    // its answer leaves, which is all that the death of the process can try.
    const kept = aof ? ['--appendonly', 'yes', '--appendfsync', 'no'] : ['--appendonly', 'no']
    const secret = password ? ['--requirepass', password] : []
    const where = ['--bind', server.host, '--port', String(server.port), '--dir', server.folder]
    return { file: program('redis-server'), args: [...where, '--save', '', ...kept, ...secret, ...args] }
  },
  answers: (server) => /** @type {Redis} */ (server).command('PING'),
}

class Redis extends Server {
  /** @param {{ aof: boolean, password?: string, args: readonly string[] }} options */
  constructor(options) {
    super(KIND)
    this.options = options
  }

  get url() {
    const { password } = this.options
    return `redis://${password ? `:${encodeURIComponent(password)}@` : ''}${this.address}`
  }

  /** The answer to one command, over a connection of its own. @param {...(string | number | Buffer)} words */
  command(...words) {
    const { password } = this.options
    return say(this, [...(password ? [['AUTH', password]] : []), words])
  }
}

/**
 * @param {{ aof?: boolean, password?: string, args?: readonly string[] }} [options] With `aof` a restart finds what was
 *   written; `args` goes to `redis-server` as it is.
 */
function startRedis({ aof = false, password, args = [] } = {}) {
  return /** @type {Promise<Redis>} */ (Server.start(new Redis({ aof, password, args })))
}

module.exports = { startRedis }
