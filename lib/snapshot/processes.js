// Processes of a snapshot: what their tables and the system say of them.
// @ts-check
'use strict'

const path = require('node:path')

/** @typedef {import('../../index').SnapshotProcess} SnapshotProcess */

/** Programs that run scripts: the script says more than they. */
const RUNNERS = /^(node|nodejs|bun|deno|electron)(\.exe)?$/

/**
 * @param {any} process As the native code reads it.
 * @param {any} facts As the system tells it; undefined when it does not.
 * @param {number} nowMs
 * @returns {SnapshotProcess}
 */
function processView(process, facts, nowMs) {
  const rows = process.rows ?? []
  const commandLine = facts?.commandLine?.length > 0 ? facts.commandLine : null
  return {
    pid: process.pid,
    startTimeMs: facts?.startTimeMs ?? null,
    command: shortCommand(commandLine, facts?.command ?? null),
    commandLine,
    cwd: facts?.cwd ?? null,
    state: facts?.state ?? 'unknown',
    isOwn: process.isOwn === true,
    version: process.version ?? null,
    layoutVersion: process.layoutVersion ?? 0,
    chainlockSince: earliest(rows, process, nowMs),
    threads: rows
      .filter((/** @type {any} */ row) => row.live !== false)
      .map((/** @type {any} */ row) => threadView(row, process, nowMs)),
    table: tableView(process.table ?? {}),
    deadlocks: process.deadlocks ?? 0,
    orderInversions: process.orderInversions ?? 0,
    journal: process.journal ?? null,
    registry: process.registry ?? [],
  }
}

/**
 * @param {string[] | null} commandLine
 * @param {string | null} name What the system calls the process.
 */
function shortCommand(commandLine, name) {
  if (commandLine === null || !RUNNERS.test(path.basename(commandLine[0]))) return name
  const script = commandLine.slice(1).find((word) => !word.startsWith('-'))
  const isText = commandLine.some((word) => /^(-e|-p|-pe|--eval|--print)$/.test(word))
  return script === undefined || isText ? path.basename(commandLine[0]) : path.basename(script)
}

/** @param {number | null} threadId */
function threadName(threadId) {
  if (threadId === null) return null
  return threadId === 0 ? 'main' : `w${threadId}`
}

/** @param {any} row @param {any} process @param {number} nowMs */
function threadView(row, process, nowMs) {
  const since = sinceOf(row, process, nowMs)
  return {
    threadId: row.threadId,
    name: /** @type {string} */ (threadName(row.threadId)),
    since: isoOf(since),
    silentMs: row.silentMs ?? null,
  }
}

/** @param {any} row @param {any} process @param {number} nowMs @returns {number | null} */
function sinceOf(row, process, nowMs) {
  return row.sinceAtMs ?? (row.sinceNs > 0 ? nowMs - (process.nowNs - row.sinceNs) / 1e6 : null)
}

/** @param {any[]} rows @param {any} process @param {number} nowMs */
function earliest(rows, process, nowMs) {
  const known = rows.map((row) => sinceOf(row, process, nowMs)).filter((since) => since !== null)
  return isoOf(process.sinceAtMs ?? (known.length > 0 ? Math.min(.../** @type {number[]} */ (known)) : null))
}

/** @param {any} table */
function tableView({ slots, used, unshown, claims, claimsUsed, claimsUnshown, rows, rowsUsed }) {
  return {
    slots: slots ?? 0,
    used: used ?? 0,
    unshown: unshown ?? 0,
    claims: claims ?? 0,
    claimsUsed: claimsUsed ?? 0,
    claimsUnshown: claimsUnshown ?? 0,
    rows: rows ?? 0,
    rowsUsed: rowsUsed ?? 0,
  }
}

/** The most that a Date can say; a table that was tampered with may say more. */
const LATEST_MS = 8.64e15

/** @param {number | null | undefined} atMs */
function isoOf(atMs) {
  if (atMs === null || atMs === undefined || !(Math.abs(atMs) <= LATEST_MS)) return null
  return new Date(atMs).toISOString()
}

module.exports = { processView, threadName, isoOf }
