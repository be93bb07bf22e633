// A reader of Chrome traces that accepts only what it can show: what is wrong with a trace, as sentences.
'use strict'

/**
 * @param {string} text
 * @returns {{ faults: string[], tracks: Map<string, object[]>, events: object[], spans: object[] }}
 */
function readTrace(text) {
  const { traceEvents: events, otherData } = JSON.parse(text)
  const faults = []
  if (Number.isNaN(Date.parse(otherData.origin))) faults.push(`the origin is ${otherData.origin}`)
  const tracks = new Map()
  const names = new Map()
  for (const event of events) {
    const key = `${event.pid}/${event.tid}`
    if (!Number.isInteger(event.pid)) faults.push(`no process: ${JSON.stringify(event)}`)
    if (event.ph === 'M') {
      if (names.has(`${event.name} ${key}`)) faults.push(`${event.name} of ${key} twice`)
      names.set(`${event.name} ${key}`, event.args.name)
      continue
    }
    if (!Number.isInteger(event.ts) || event.ts < 0) faults.push(`no time: ${JSON.stringify(event)}`)
    if (!tracks.has(key)) tracks.set(key, [])
    tracks.get(key).push(event)
  }
  const spans = []
  for (const [key, track] of tracks) {
    const duration = track.filter(({ ph }) => 'BEsf'.includes(ph))
    const pid = Number(key.split('/')[0])
    if (!names.has(`process_name ${pid}/0`)) faults.push(`process ${pid} has no name`)
    if (duration.length > 0 && !names.has(`thread_name ${key}`)) faults.push(`track ${key} has no name`)
    checkTrack(key, duration, names.get(`thread_name ${key}`), faults, spans)
  }
  checkFlows(events, spans, faults)
  checkCounters(events, faults)
  return { faults, tracks, events, spans }
}

/** Begins and ends are parentheses, and time does not go back. */
function checkTrack(key, track, name, faults, spans) {
  const open = []
  let last = 0
  for (const event of track) {
    if (event.ts < last) faults.push(`track ${key}: ${event.ts} after ${last}`)
    last = event.ts
    if (event.ph === 'B') {
      const span = { ...event, track: name, key }
      open.push(span)
      spans.push(span)
    } else if (event.ph === 'E') {
      const span = open.pop()
      if (span) span.end = event.ts
      else faults.push(`track ${key}: an end without a begin at ${event.ts}`)
    }
  }
  for (const span of open) faults.push(`track ${key}: ${span.name} of ${span.ts} does not end`)
}

/** Each arrow has two ends, not in the wrong order, both on a hold. */
function checkFlows(events, spans, faults) {
  const byId = new Map()
  for (const event of events.filter(({ ph }) => ph === 's' || ph === 'f')) {
    const ends = byId.get(event.id) ?? byId.set(event.id, {}).get(event.id)
    if (ends[event.ph]) faults.push(`arrow ${event.id} has two ends of kind ${event.ph}`)
    ends[event.ph] = event
  }
  const holds = new Map()
  for (const span of spans.filter(({ name }) => name.startsWith('hold '))) {
    for (const ts of [`${span.key} ${span.ts}`, `${span.key} ${span.end}`]) holds.set(ts, span)
  }
  for (const [id, { s, f }] of byId) {
    if (!s || !f) faults.push(`arrow ${id} has one end`)
    else if (s.ts > f.ts) faults.push(`arrow ${id} goes back in time`)
    for (const end of [s, f]) {
      if (end && !holds.has(`${end.pid}/${end.tid} ${end.ts}`)) faults.push(`arrow ${id} is not at a hold`)
    }
  }
}

function checkCounters(events, faults) {
  const last = new Map()
  for (const { pid, name, ts, args } of events.filter(({ ph }) => ph === 'C')) {
    const key = `${pid} ${name}`
    if (ts < (last.get(key) ?? 0)) faults.push(`counter ${key} goes back in time`)
    if (!(args.waiters >= 0)) faults.push(`counter ${key} is ${args.waiters}`)
    last.set(key, ts)
  }
}

module.exports = { readTrace }
