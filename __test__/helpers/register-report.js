// What a history of the fenced register says about the leases that wrote to it. Pure: a list of events in, figures out.
//
// All times are milliseconds of the one monotonic clock of this host (`nowMs` in register.js). The events:
//   grant  { key, token, worker, asked, from, deadline? }   a lease was granted; `asked` = when its winning request left
//          (its deadline then less its ttl), `from` = when its holder knew
//   belief { key, token, worker, from, until, reason, deadline?, toldAt?, awake?, mode? }   a holder has stopped
//          believing: by 'release', 'signal' or 'deadline'. `awake: false` = it could not have been told in time, as it
//          was stopped or its loop was blocked
//   write  { key, token, worker, n, at, accepted, deadline? }   written down by the register itself, in the order of its
//          verdicts; with the deadline as renewed so far, for holders that are killed before they can tell their end
//   kill   { worker, at }                                   a worker was killed: it believes nothing any more
//   calm   { at, keys }                                     no more faults: every one of the keys has to be granted after it
'use strict'

/** @typedef {{ type: string, [field: string]: any }} Event */

/** @param {readonly Event[]} history */
function analyse(history) {
  const of = (type) => history.filter((event) => event.type === type)
  const kills = of('kill')
  const writes = of('write')
  const grants = grantsOf(of('grant'), of('belief'), writes)
  const beliefs = grants.map((grant) => beliefOf(grant, kills))
  const accepted = writes.filter((write) => write.accepted)
  return {
    grants: grants.length,
    duplicates: duplicates(grants),
    regressions: regressions(grants),
    writes: writes.length,
    accepted: accepted.length,
    fencedOff: writes.length - accepted.length,
    staleAccepted: staleAccepted(accepted),
    overlaps: overlaps(beliefs),
    notice: spread(of('belief').filter(wasTold).map(({ toldAt, deadline }) => Math.max(0, toldAt - deadline))),
    recovery: spread(recoveries(grants, beliefs)),
    unrecovered: beliefs.filter(({ killed }) => killed).filter((belief) => !nextGrant(grants, belief)).map(nameOf),
    unended: beliefs.filter(({ reason, death }) => reason === undefined && !death).map(nameOf),
    stuck: stuck(of('calm'), grants),
  }
}

/** Every grant with its end, if it has one; a belief that nobody has announced is a grant, too. */
function grantsOf(announced, ended, writes) {
  const idOf = ({ key, token, worker, from }) => JSON.stringify([key, token, worker, from])
  const grants = new Map(announced.map((grant) => [idOf(grant), { ...grant, until: Infinity, reason: undefined }]))
  for (const belief of ended) grants.set(idOf(belief), { ...grants.get(idOf(belief)), ...belief })
  return [...grants.values()].map((grant) => ({ asked: grant.from, ...grant, deadline: lastDeadline(grant, writes) }))
}

/** Who has told its end has told its last deadline; of another one the last that is known counts. */
function lastDeadline(grant, writes) {
  if (grant.reason !== undefined) return grant.deadline
  const same = writes.filter(({ key, token, worker }) => key === grant.key && token === grant.token && worker === grant.worker)
  const known = [grant, ...same].map(({ deadline }) => deadline).filter((deadline) => deadline !== undefined)
  return known.length > 0 ? Math.max(...known) : undefined
}

const nameOf = ({ key, token, worker }) => ({ key, token, worker })

/** Until when it believed: release, signal, deadline or its own death, whichever was first; and whether it died holding. */
function beliefOf(grant, kills) {
  const death = kills.find(({ worker, at }) => worker === grant.worker && at >= grant.from)
  const until = Math.min(grant.until, grant.deadline ?? Infinity, grant.toldAt ?? Infinity, death?.at ?? Infinity)
  return { ...grant, until, death, killed: grant.reason === undefined && death !== undefined }
}

function byKey(events) {
  const keys = new Map()
  for (const event of events) {
    if (!keys.has(event.key)) keys.set(event.key, [])
    keys.get(event.key).push(event)
  }
  return [...keys.values()]
}

/** Tokens that were granted more than once, under one key. */
function duplicates(grants) {
  return byKey(grants).flatMap((ofKey) => {
    const seen = new Set()
    return ofKey.filter(({ token }) => seen.has(token) || !seen.add(token)).map(nameOf)
  })
}

/**
 * Grants whose token is below that of one that was known before they were asked for. Grants whose times touch have no
 * order: a worker may be held up before it can say what it got.
 */
function regressions(grants) {
  return byKey(grants).flatMap((ofKey) => {
    const asked = [...ofKey].sort((one, other) => one.asked - other.asked)
    const known = [...ofKey].sort((one, other) => one.from - other.from)
    let highest = -Infinity
    let next = 0
    return asked.filter((grant) => {
      while (next < known.length && known[next].from < grant.asked) highest = Math.max(highest, known[next++].token)
      return grant.token < highest
    }).map(nameOf)
  })
}

/** Writes that came in after one with a higher token. */
function staleAccepted(accepted) {
  return byKey(accepted).flatMap((ofKey) => {
    let highest = -Infinity
    return ofKey.filter(({ token }) => {
      const stale = token < highest
      highest = Math.max(highest, token)
      return stale
    }).map(({ n, ...write }) => ({ ...nameOf(write), n }))
  })
}

/** Pairs of which the second began to believe while the first still did; two that share are none. */
function overlaps(beliefs) {
  return byKey(beliefs).flatMap((ofKey) => {
    const sorted = ofKey.filter(({ from, until }) => until > from).sort((one, other) => one.from - other.from)
    /** @type {typeof beliefs} */
    let open = []
    return sorted.flatMap((later) => {
      open = open.filter(({ until }) => until > later.from)
      const others = open.filter(({ mode }) => !(mode === 'shared' && later.mode === 'shared'))
      open.push(later)
      return others.map((earlier) => overlap(earlier, later))
    })
  })
}

function overlap(earlier, later) {
  const pair = [earlier, later]
  const ms = Math.min(earlier.until, later.until) - later.from
  return { key: later.key, workers: pair.map(({ worker }) => worker), tokens: pair.map(({ token }) => token), ms }
}

const wasTold = ({ reason, toldAt, deadline, awake }) => reason !== 'release' && awake !== false && toldAt !== undefined && deadline !== undefined

/** The first grant of the same key after this one. */
function nextGrant(grants, { key, from }) {
  const later = grants.filter((grant) => grant.key === key && grant.from > from)
  return later.sort((one, other) => one.from - other.from)[0]
}

/** How long after its holder's death each key was had again. What had passed to another before was not the dead one's. */
function recoveries(grants, beliefs) {
  return beliefs.filter(({ killed }) => killed).flatMap((belief) => {
    const next = nextGrant(grants, belief)
    return next && next.from > belief.death.at ? [next.from - belief.death.at] : []
  })
}

/** Keys that nobody got after the last fault. */
function stuck(calms, grants) {
  const calm = calms.at(-1)
  return calm ? calm.keys.filter((key) => !grants.some((grant) => grant.key === key && grant.from > calm.at)) : []
}

/** @param {readonly number[]} values */
function spread(values) {
  const sorted = [...values].sort((one, other) => one - other)
  const at = (share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) }
}

module.exports = { analyse, spread }
