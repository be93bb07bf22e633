// What the page is told: the picture in parts, each sent only when it changed. Ages are sent as the instants that
// they count from, so that time alone changes nothing.
// @ts-check
'use strict'

const { clean, cut } = require('../../cli/text')
const { holderText, holdersText, place, stateOf } = require('../view/words')
const { shownLocks } = require('../view/locks')
const { firstState } = require('../keys')

/** @typedef {import('../types').Picture} Picture */
/** @typedef {import('../types').LockView} LockView */
/** @typedef {import('../types').WaitNode} WaitNode */

/** What a person looks through on one page; the counts of the rest are told. */
const MAX = {
  locks: 200,
  holders: 3,
  waiters: 5,
  events: 5,
  tracks: 40,
  spans: 200,
  recent: 15,
  trees: 20,
  name: 64,
  processes: 50,
}
/** The instant that an age counts from wavers with the clocks; so far apart are two of them. */
const STEP_MS = 100

/** @param {number} nowMs @param {number | null} ageMs */
function since(nowMs, ageMs) {
  return ageMs === null ? null : Math.round((nowMs - ageMs) / STEP_MS) * STEP_MS
}

/** @param {string | null} text */
function name(text) {
  return text === null ? '(no name)' : cut(clean(text), MAX.name)
}

/** @param {Picture} picture @returns {Record<string, unknown>} The parts that are sent whole. */
function partsOf({ snapshot, locks, health, growth, trees, recent }) {
  const now = snapshot.takenAtMs
  return {
    verdict: snapshot.verdict.slice(0, 20).map(({ rule, level, lockId, pid, sentence, evidence, next }) => {
      return {
        key: `${rule} ${lockId} ${pid}`,
        rule,
        level,
        sentence: clean(sentence),
        evidence: evidence.slice(0, 10).map(clean),
        next: next === null ? null : clean(next),
      }
    }),
    counts: { processes: snapshot.processes.length, locks: locks.length, leases: snapshot.leases.length },
    health,
    top: growth.locks
      .slice(0, 8)
      .map((lock) => ({
        ...lock,
        name: name(lock.name),
        totalMs: Math.round(lock.totalMs),
        maxMs: Math.round(lock.maxMs),
      })),
    trees: trees.slice(0, MAX.trees).map((tree) => treeOf(tree, now)),
    recent: recent.slice(-MAX.recent).map(({ atMs, kind, layer, lock, spanMs, other, pid, threadId }) => {
      const who = layer === null ? place({ pid, threadId, thread: null }) : name(layer)
      return {
        atMs,
        kind,
        who: layer === null && threadId === null ? '' : who,
        lock: name(lock),
        spanMs,
        other: other === null ? null : name(other),
      }
    }),
    processes: snapshot.processes.slice(0, MAX.processes).map(({ pid, command, state, threads, table }) => {
      return { pid, command: name(command), state, threads: threads.length, slots: `${table.used}/${table.slots}` }
    }),
    unseen: snapshot.unseen.slice(0, 20).map(({ pid, reason, advice }) => ({ pid, reason, advice: clean(advice) })),
  }
}

/** @param {WaitNode} node @param {number} now @returns {object} */
function treeOf({ lock, holders, holderCount, waiters, more, circle, again }, now) {
  return {
    lock: name(lock),
    holders: holders.map(({ who, where }) => ({ who: name(who), where })),
    holderCount,
    waiters: waiters.map(({ who, where, position, waitedMs, blocks }) => {
      return {
        who: name(who),
        where,
        position,
        since: since(now, waitedMs),
        blocks: blocks.map((below) => treeOf(below, now)),
      }
    }),
    more,
    circle,
    again,
  }
}

/** @param {LockView} lock @param {number} now */
function lockOf(lock, now) {
  const {
    id,
    scope,
    kind,
    state,
    waiterCount,
    wait,
    hold,
    forced,
    timeouts,
    acquisitions,
    contended,
    lastToken,
    send,
  } = lock
  return {
    id,
    name: name(lock.name),
    scope,
    kind,
    state,
    acquisitions,
    contended,
    forced,
    timeouts,
    waiterCount,
    lastToken,
    says: state === 'cooldown' ? 'cooldown' : stateOf(lock, false),
    cooldownEnds: state === 'cooldown' && send !== null ? since(now, -send.cooldownLeftMs) : null,
    holder: holdersText(lock),
    since: since(
      now,
      lock.holders.reduce(
        (/** @type {number | null} */ most, { heldMs }) => (heldMs === null ? most : Math.max(most ?? 0, heldMs)),
        null,
      ),
    ),
    holders: lock.holders.slice(0, MAX.holders).map((holder) => {
      return {
        who: clean(holderText(holder)),
        since: since(now, holder.heldMs),
        token: holder.token,
        command: name(holder.command),
      }
    }),
    waiters: lock.waiters.slice(0, MAX.waiters).map((waiter) => {
      const { position, waitedMs, layer } = waiter
      return {
        position,
        who: layer === null ? place(waiter) : name(layer),
        where: place(waiter),
        since: since(now, waitedMs),
      }
    }),
    wait: timesOf(wait),
    hold: timesOf(hold),
    next: lock.name === null || kind === 'host' ? null : whyCommand(lock),
  }
}

/** @param {LockView['wait']} times */
function timesOf({ count, p50Ms, p99Ms, maxMs }) {
  return { count, p50Ms, p99Ms, maxMs }
}

/** The command that tells all of a lock, where its name can be typed. @param {LockView} lock */
function whyCommand({ name: lockName, pid }) {
  if (lockName === null || !/^[\w.:@%+=,/-]+$/.test(lockName) || lockName.startsWith('-')) return null
  return `chainlock why ${lockName}${pid === null ? '' : ` --pid ${pid}`}`
}

/** What one reader has been told, and what to tell next. */
class Telling {
  constructor() {
    /** @private @type {Map<string, string>} */
    this.told = new Map()
  }

  /** @param {Picture} picture @returns {object} Only what changed since the last time. */
  next(picture) {
    const { snapshot } = picture
    const now = snapshot.takenAtMs
    const locks = shownLocks(picture, firstState()).slice(0, MAX.locks)
    const tracks = picture.tracks.slice(0, MAX.tracks)
    /** @type {Record<string, unknown>} */
    const message = { at: now, tookMs: snapshot.tookMs, timeline: picture.timeline }
    /** @type {Map<string, string>} */
    const here = new Map()
    const isNews = (/** @type {string} */ key, /** @type {unknown} */ value) => {
      const text = JSON.stringify(value)
      here.set(key, text)
      return this.told.get(key) !== text
    }
    for (const [key, value] of Object.entries(partsOf(picture))) if (isNews(key, value)) message[key] = value
    const order = locks.map(({ id }) => id)
    if (isNews('order', order)) message.order = order
    message.locks = locks.map((lock) => lockOf(lock, now)).filter((lock) => isNews(`lock ${lock.id}`, lock))
    const titles = tracks.map(({ title }) => title)
    if (isNews('titles', titles)) message.titles = titles.map(name)
    message.tracks = tracks
      .map(({ spans, lastMs }, index) => {
        const seen = spans.filter(({ toMs }) => toMs >= picture.timeline.fromMs).slice(-MAX.spans)
        // A span that lasts is drawn up to the present; its growth is no news.
        return {
          index,
          spans: seen.map(({ kind, fromMs, toMs, lock }) => {
            const lasts = toMs === now && lastMs === now
            return [kind, Math.round(fromMs / STEP_MS) * STEP_MS, lasts ? null : Math.round(toMs), name(lock)]
          }),
        }
      })
      .filter((track) => isNews(`track ${titles[track.index]}`, track))
    this.told = here
    return message
  }
}

module.exports = { Telling }
