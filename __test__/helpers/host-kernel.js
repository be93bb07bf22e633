// What the kernel itself says of a lock file and of processes, where it says so: in /proc.
'use strict'

const fs = require('node:fs')
const { until } = require('./waiting')

/** `/proc/locks` lists every whole-file lock by its inode, and behind it who waits for it. */
function linesOf(path) {
  const { ino } = fs.statSync(path)
  const lines = fs.readFileSync('/proc/locks', 'utf8').split('\n')
  return lines.filter((line) => line.includes('FLOCK') && line.includes(`:${ino} `))
}

const isLocked = (path) => linesOf(path).some((line) => !line.includes('->'))
const waitersFor = (path) => linesOf(path).filter((line) => line.includes('->')).length

/** Where the open files of a process lie; none when it has ended. */
function filesOf(pid) {
  try {
    return fs.readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))
  } catch {
    return []
  }
}

/** Where a link leads; nowhere when it is gone, as a descriptor may be that was just listed. */
function linkOf(file) {
  try {
    return fs.readlinkSync(file)
  } catch {
    return ''
  }
}

/** How long the threads of a process have run, in milliseconds. */
function cpuMs(pid) {
  const threads = fs.readdirSync(`/proc/${pid}/task`)
  return threads.reduce((sum, thread) => sum + Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0)
}

/** The letter for a process's state. */
const stateOf = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0]

/** Whether a stopped process stands: all of its threads, or one could still take a lock. */
function stands(pid) {
  try {
    return fs.readdirSync(`/proc/${pid}/task`).every((task) => /\) [Tt] /.test(fs.readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8')))
  } catch {
    // A thread has ended since.
    return false
  }
}

/** Stops a process, and waits until it stands. */
async function stop(pid) {
  process.kill(pid, 'SIGSTOP')
  await until(() => stands(pid), 'it stands')
}

module.exports = { isLocked, waitersFor, filesOf, linkOf, cpuMs, stateOf, stop }
