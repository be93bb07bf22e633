// @ts-check
// Says what there is of leases in a fresh process, step by step: threads, open files, and modules.
'use strict'

const { readdirSync, readlinkSync, readFileSync } = require('node:fs')

const steps = {}
const url = process.argv[2]

function look() {
  const threads = readdirSync('/proc/self/task').length
  // Opening the folder opens a file itself, which is closed by the time its name is looked up.
  const files = readdirSync('/proc/self/fd').filter((fd) => isThere(fd)).length
  const modules = Object.keys(require.cache).filter((name) => /[\\/]lib[\\/]leases[\\/]/.test(name)).length
  const resident = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  return { threads, files, modules, resident }
}

function isThere(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) !== ''
  } catch {
    return false
  }
}

async function main() {
  require('node:events')
  look()
  steps.start = look()
  require('chainlock')
  steps.main = look()
  const { LeaseManager } = require('chainlock/leases')
  steps.leases = look()
  const manager = new LeaseManager({ store: url })
  manager.caps()
  steps.opened = look()
  const lease = await manager.acquire('first')
  steps.held = look()
  await lease.release()
  await manager.destroy()
  process.stdout.write(JSON.stringify(steps))
}

main()
