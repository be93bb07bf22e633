// A real bare git repository in a temporary folder, and the programs of git that work on it. To start one takes longer
// than its work, so two of them stay: `git cat-file --batch` reads, `git update-ref --stdin` moves refs. Commits are
// written here in git's loose format; `git fsck` in the tests has the last word on them.
'use strict'

const { spawn } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { deflateSync } = require('node:zlib')
const { ObjectReader, RefWriter } = require('./git-processes')

/** The object id of nothing: a ref that does not exist. */
const ZERO = '0'.repeat(40)
const OID = /^[0-9a-f]{40}$/
const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904'

/** What git calls a well-formed ref name, below `refs/` and with at least one more part. */
function isRefName(name) {
  const forbidden = /[\x00-\x20\x7f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.lock(\/|$)|(^|\/)\.|\.$/
  return /^refs\/[^/]+\/./.test(name) && !forbidden.test(name)
}

class Git {
  #folder
  #env
  #reader
  #writer
  #written = 0

  constructor(folder) {
    this.#folder = folder
    // Nothing of the user's own git takes part.
    this.#env = { PATH: process.env.PATH, HOME: folder, GIT_DIR: folder, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' }
    const start = (args) => spawn('git', args, { env: this.#env, stdio: 'pipe' })
    this.#reader = new ObjectReader(() => start(['cat-file', '--batch']))
    this.#writer = new RefWriter(() => start(['-c', 'core.fsync=none', 'update-ref', '--no-deref', '--stdin']))
  }

  static async create() {
    const git = new Git(fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-github-')))
    await git.run(['init', '--quiet', '--bare', '--initial-branch=main', git.#folder])
    git.#write('tree', Buffer.alloc(0))
    return git
  }

  get folder() {
    return this.#folder
  }

  /** Runs git and answers what it prints; throws what it complains of. */
  run(args, { input = '', env = {} } = {}) {
    return new Promise((resolve, reject) => {
      const child = spawn('git', args, { env: { ...this.#env, ...env }, stdio: 'pipe' })
      const output = { stdout: '', stderr: '' }
      for (const stream of /** @type {const} */ (['stdout', 'stderr'])) {
        child[stream].setEncoding('utf8').on('data', (text) => (output[stream] += text))
      }
      child.on('error', reject)
      child.on('close', (code) => {
        if (code === 0) resolve(output.stdout)
        else reject(new Error(`git ${args[0]} (${code}): ${output.stderr.trim()}`))
      })
      // A program that refuses early does not read on.
      child.stdin.on('error', () => {})
      child.stdin.end(input)
    })
  }

  /** The object of an id or ref name, or null. @returns {Promise<{ oid: string, type: string, body: Buffer } | null>} */
  read(name) {
    return OID.test(name) || isRefName(name) ? this.#reader.read(name) : Promise.resolve(null)
  }

  /** The object ids of all refs that begin with a prefix, by name. @returns {Promise<[string, string][]>} */
  async list(prefix) {
    const lines = await this.run(['for-each-ref', '--format=%(objectname) %(refname)'])
    const refs = lines.split('\n').filter(Boolean)
    return refs.map((line) => [line.slice(41), line.slice(0, 40)]).filter(([name]) => name.startsWith(prefix))
  }

  /** Writes a commit as git lays it out, with the message to the byte; answers its id. */
  commit({ tree, parents, author, committer, message }) {
    const who = ({ name, email, date }) => `${plain(name)} <${plain(email)}> ${Math.floor(date.getTime() / 1000)} +0000`
    const lines = [
      `tree ${tree}`,
      ...parents.map((parent) => `parent ${parent}`),
      `author ${who(author)}`,
      `committer ${who(committer)}`,
      '',
      message,
    ]
    return this.#write('commit', Buffer.from(lines.join('\n')))
  }

  #write(type, body) {
    const object = Buffer.concat([Buffer.from(`${type} ${body.length}\0`), body])
    const oid = createHash('sha1').update(object).digest('hex')
    const folder = path.join(this.#folder, 'objects', oid.slice(0, 2))
    const whole = path.join(folder, oid.slice(2))
    if (fs.existsSync(whole)) return oid
    const part = path.join(this.#folder, 'objects', `tmp_obj_${(this.#written += 1)}`)
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(part, deflateSync(object), { mode: 0o444 })
    fs.renameSync(part, whole)
    return oid
  }

  /** Writes a tree from another one (or none) and changes `{ path, mode, sha | content }`; `sha: null` removes. */
  async tree(base, changes) {
    const lines = []
    for (const { path: file, mode, sha, content } of changes) {
      const removed = sha === null
      const oid = sha ?? (removed ? ZERO : (await this.run(['hash-object', '-w', '--stdin'], { input: content })).trim())
      lines.push(`${removed ? '0' : mode} ${oid}\t${file}\0`)
    }
    const env = { GIT_INDEX_FILE: path.join(this.#folder, `index-${process.hrtime.bigint()}`) }
    await this.run(['read-tree', base ?? EMPTY_TREE], { env })
    await this.run(['update-index', '--add', '-z', '--index-info'], { env, input: lines.join('') })
    const oid = (await this.run(['write-tree'], { env })).trim()
    fs.rmSync(env.GIT_INDEX_FILE, { force: true })
    return oid
  }

  /** Whether a ref at `from` may go to `to` without force. */
  async isFastForward(from, to) {
    if (from === to) return true
    const commit = await this.read(to)
    if (commit?.type !== 'commit') return false
    if (parseCommit(commit.body).parents.includes(from)) return true
    return this.run(['merge-base', '--is-ancestor', from, to]).then(
      () => true,
      () => false,
    )
  }

  /** One transaction: each ref goes from `before` to `after` (the zero id is no ref), or none does. */
  moveRefs(moves) {
    const line = ({ name, before, after }) =>
      after === ZERO ? `delete ${name} ${before}\n` : `update ${name} ${after} ${before}\n`
    return this.#writer.write(moves.map(line).join(''))
  }

  stop() {
    this.#reader.stop()
    this.#writer.stop()
    fs.rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** @param {Buffer} body */
function parseCommit(body) {
  const text = body.toString('utf8')
  const headEnd = text.indexOf('\n\n')
  const head = text.slice(0, headEnd).split('\n')
  const all = (word) => head.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1))
  const who = (line) => {
    const [, name, email, seconds] = /^(.*) <(.*)> (\d+) /.exec(line)
    return { name, email, date: new Date(Number(seconds) * 1000) }
  }
  return {
    tree: all('tree')[0],
    parents: all('parent'),
    author: who(all('author')[0]),
    committer: who(all('committer')[0]),
    message: text.slice(headEnd + 2),
  }
}

function plain(text) {
  return text.replace(/[<>\n\0]/g, '')
}

module.exports = { Git, ZERO, OID, EMPTY_TREE, isRefName, parseCommit }
