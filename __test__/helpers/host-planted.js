// What an attacker, or an accident, may have left where a lock file is to lie. Each plants it and says what is refused
// and why; `victim` is what somebody who followed it would have changed.
'use strict'

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const net = require('node:net')
const os = require('node:os')
const { join } = require('node:path')

const UNSAFE = 'ERR_LOCK_FILE_UNSAFE'
const FOREIGN = 'ERR_LOCK_FILE_FOREIGN'
const IO = 'ERR_LOCK_FILE_IO'
const INVALID = 'ERR_LOCK_INVALID_ARGUMENT'

const NOBODY = 65_534
const isRoot = process.getuid?.() === 0
const onlyRoot = isRoot ? false : 'only root may give a file away'

const run = (program, ...args) => {
  const { status, error } = spawnSync(program, args, { stdio: 'ignore' })
  return error === undefined && status === 0
}

/** Also root may not, in some containers. */
const mayMakeDevices = () => {
  const path = join(os.tmpdir(), `chainlock-device-${process.pid}`)
  const may = run('mknod', path, 'c', '1', '3')
  fs.rmSync(path, { force: true })
  return may
}

/** Somebody else's file beside the lock; empty ones would be taken for new lock files. */
function victim(folder, content = 'precious') {
  const path = join(folder, 'victim')
  fs.writeFileSync(path, content, { mode: 0o600 })
  return path
}

/** @type {Record<string, { plant(path: string, folder: string): unknown, code: string, errno?: string, place?(path: string): string, skip?: string | false }>} */
const PLANTED = {
  'a symbolic link to a file': { plant: (path, folder) => fs.symlinkSync(victim(folder), path), code: UNSAFE },
  'a symbolic link to an empty file': { plant: (path, folder) => fs.symlinkSync(victim(folder, ''), path), code: UNSAFE },
  'a symbolic link to a folder': { plant: (path, folder) => fs.symlinkSync(folder, path), code: UNSAFE },
  'a dangling symbolic link': { plant: (path, folder) => fs.symlinkSync(join(folder, 'not there'), path), code: UNSAFE },
  'a hard link': { plant: (path, folder) => fs.linkSync(victim(folder, ''), path), code: UNSAFE },
  'a FIFO': { plant: (path) => run('mkfifo', path), code: UNSAFE },
  'a device': { plant: (path) => run('mknod', path, 'c', '1', '3'), code: UNSAFE, skip: mayMakeDevices() ? false : 'no devices may be made here' },
  'a device of the system': { plant() {}, place: () => '/dev/null', code: UNSAFE },
  'a folder': { plant: (path) => fs.mkdirSync(path), code: UNSAFE },
  'a socket': {
    plant: (path) => new Promise((resolve) => {
      const server = net.createServer().listen(path, () => resolve(() => server.close()))
    }),
    code: UNSAFE,
  },
  "another user's file": {
    plant(path) {
      fs.writeFileSync(path, '')
      fs.chownSync(path, NOBODY, NOBODY)
    },
    code: UNSAFE,
    skip: onlyRoot,
  },
  'a file that every user may write to': {
    plant(path) {
      fs.writeFileSync(path, '')
      fs.chmodSync(path, 0o666)
    },
    code: UNSAFE,
  },
  'a file of 4 GiB': {
    plant(path) {
      fs.writeFileSync(path, '')
      fs.truncateSync(path, 4 * 2 ** 30)
    },
    code: FOREIGN,
  },
  'other content of 16 KiB': { plant: (path) => fs.writeFileSync(path, 'x'.repeat(16_384)), code: FOREIGN },
  'a file of one byte': { plant: (path) => fs.writeFileSync(path, '\0'), code: FOREIGN },
  'a path of 4,096 bytes': { plant() {}, place: (path) => `${path}/${'x/'.repeat(2_048)}y`, code: IO, errno: 'ENOENT' },
  'a name that is too long': { plant() {}, place: (path) => `${path}${'x'.repeat(300)}`, code: IO, errno: 'ENAMETOOLONG' },
  'a folder that is not there': { plant() {}, place: (path) => `${path}/nor/this`, code: IO, errno: 'ENOENT' },
  'a file in the place of the folder': { plant: (path) => fs.writeFileSync(path, ''), place: (path) => `${path}/it.lock`, code: IO, errno: 'ENOTDIR' },
  'a path with NUL': { plant() {}, place: (path) => `${path}\0`, code: INVALID },
  'a name with a slash': { plant() {}, place: () => 'a/b', code: INVALID },
  'a name that is two dots': { plant() {}, place: () => '..', code: INVALID },
}

/** What may have been left in the place of the private folder, `chainlock` in XDG_RUNTIME_DIR. */
const PRIVATE = {
  'that every user may look into': {
    plant(path) {
      fs.mkdirSync(path)
      fs.chmodSync(path, 0o777)
    },
    codes: [UNSAFE],
  },
  'that is a symbolic link': {
    plant(path, folder) {
      fs.mkdirSync(join(folder, 'elsewhere'), { mode: 0o700 })
      fs.symlinkSync(join(folder, 'elsewhere'), path)
    },
    codes: [UNSAFE, IO],
  },
  'that belongs to another user': {
    plant(path) {
      fs.mkdirSync(path, { mode: 0o700 })
      fs.chownSync(path, NOBODY, NOBODY)
    },
    codes: [UNSAFE],
    skip: onlyRoot,
  },
  'that is a file': { plant: (path) => fs.writeFileSync(path, ''), codes: [UNSAFE, IO] },
}

/** Everything in a folder and how it looks, contents too. */
const listed = (folder) => fs.readdirSync(folder, { recursive: true }).sort().map((name) => {
  const path = join(folder, name)
  const { mode, size, nlink, uid, mtimeMs } = fs.lstatSync(path)
  const isSmall = fs.lstatSync(path).isFile() && size < 2 ** 20
  return [name, mode, size, nlink, uid, mtimeMs, isSmall ? fs.readFileSync(path, 'latin1') : ''].join(' ')
})

module.exports = { PLANTED, PRIVATE, NOBODY, isRoot, listed, run }
