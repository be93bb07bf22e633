// One moment as every face of the monitor shows it: the snapshot, and what the recorder knows beyond it.
// Terminal and page draw this and compute nothing of their own.
// @ts-check
'use strict'

const { healthOf } = require('./health')
const { waitTrees } = require('./tree')
const { shownTracks } = require('./timeline')

const TIMELINE_MS = 60_000

/**
 * @param {import('./types').Snapshot} snapshot
 * @param {import('./recorder').Recorder} recorder
 * @returns {import('./types').Picture}
 */
function pictureOf(snapshot, recorder) {
  const growth = recorder.growth(snapshot)
  const now = snapshot.takenAtMs
  return {
    snapshot,
    locks: snapshot.locks.filter(isWorthARow),
    growth,
    health: healthOf(snapshot, growth),
    trees: waitTrees(snapshot),
    tracks: shownTracks(recorder.tracks.values(), now - TIMELINE_MS),
    timeline: { fromMs: now - TIMELINE_MS, toMs: now },
    recent: recorder.recent,
  }
}

/** Each process has a send lock; one that nobody has used says nothing. @param {import('./types').LockView} lock */
function isWorthARow({ kind, state, acquisitions, contended }) {
  return kind !== 'send' || state !== 'free' || acquisitions + contended > 0
}

module.exports = { pictureOf, TIMELINE_MS }
