// What tidies up after a test, however its process ends: it ends a server and removes a folder.
'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')

/**
 * Reads which process group to end and which processes are frozen, anew after each change, and sees the input close
 * when the test's process is gone: also when that was killed and could tidy nothing up itself.
 */
const PROGRAM = `
  group=0
  while read -r first others; do group=$first frozen=$others; done
  if [ "$group" != 0 ]; then
    kill -CONT "-$group" $frozen 2>/dev/null
    kill "-$2" "-$group" 2>/dev/null
    tries=0
    while [ $tries -lt 30 ] && kill -0 "-$group" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
    kill -KILL "-$group" 2>/dev/null
  fi
  tries=0
  while [ $tries -lt 100 ] && ! rm -rf "$1" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done`

class Caretaker {
  #shell

  /**
   * @param {string} folder What it removes in the end.
   * @param {NodeJS.Signals} [end] How it ends the processes that it is told of.
   */
  constructor(folder, end = 'SIGKILL') {
    const args = ['-c', PROGRAM, 'caretaker', folder, end.replace(/^SIG/, '')]
    // In a group of its own: what the keyboard sends to the tests' group is not meant for it.
    this.#shell = spawn('/bin/sh', args, { cwd: '/', stdio: ['pipe', 'ignore', 'ignore'], detached: true })
    this.#shell.unref()
    this.#shell.stdin.unref()
    this.#shell.stdin.on('error', () => {})
  }

  /** @param {number} group The process group to end, 0 for none. @param {...number} frozen What of it must go on, first. */
  tell(group, ...frozen) {
    this.#shell.stdin.write(`${[group, ...frozen].join(' ')}\n`)
  }

  /** Has it do its work now. */
  async dismiss() {
    this.#shell.ref()
    const gone = this.#shell.exitCode === null ? once(this.#shell, 'exit') : undefined
    this.#shell.stdin.end()
    await gone
  }
}

module.exports = { Caretaker }
