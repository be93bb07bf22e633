// O9: the monitor's frames: what they look like at four sizes, that no line is wider than the terminal whatever the
// names are, that nothing from outside drives it, and that a large one is ready in time.
'use strict'

// Frames show the hour of the day.
process.env.TZ = 'UTC'

const { test, describe } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { pictureAfter, frameText } = require('./helpers/monitor')
const scenes = require('./helpers/monitor-scenes')
const { HARMFUL, SEQUENCES } = require('./helpers/terminal-sequences')
const { width } = require('../lib/cli/text')
const { frameOf } = require('../lib/monitor/view')
const { lineWidth } = require('../lib/monitor/frame')
const { firstState } = require('../lib/monitor/keys')

const SIZES = [[40, 10], [80, 24], [120, 40], [300, 100]]
/** Odd ones and even ones, tight ones more of them. */
const WIDTHS = [...Array.from({ length: 12 }, (_, index) => 20 + index * 3), 61, 66, 79, 80, 99, 100, 101, 140, 300]
const MODES = ['main', 'why', 'timeline', 'events', 'health', 'help']
const GOLDEN = path.join(__dirname, 'golden', 'monitor')
/** `CHAINLOCK_WRITE_GOLDEN=1` writes them anew; the difference is then read by a person. */
const WRITES = process.env.CHAINLOCK_WRITE_GOLDEN === '1'

const pictures = {
  stuck: pictureAfter(scenes.stuck),
  circle: pictureAfter(scenes.circle),
  odd: pictureAfter(scenes.odd),
  leases: pictureAfter(scenes.leases),
  nothing: pictureAfter((at) => scenes.snapshot({ takenAtMs: at, processes: [] })),
}
/** Our own marks around what is written from right to left. */
const withoutIsolates = (text) => text.replace(/[\u2066\u2069]/g, '')

describe('golden frames', () => {
  for (const scene of ['stuck', 'odd']) {
    for (const [columns, rows] of SIZES) {
      test(`${scene} at ${columns}×${rows}`, () => {
        const file = path.join(GOLDEN, `${scene}-${columns}x${rows}.txt`)
        const text = `${frameText(pictures[scene], { columns, rows }).join('\n')}\n`
        if (WRITES) fs.writeFileSync(file, text)
        assert.equal(text, fs.readFileSync(file, 'utf8'))
      })
    }
  }

  test('a lock in full, in letters that every terminal has', () => {
    const file = path.join(GOLDEN, 'stuck-why-ascii.txt')
    const lines = frameText(pictures.stuck, { columns: 80, rows: 50, ascii: true }, { mode: 'why' })
    assert.match(lines.join('\n'), /^[\x20-\x7e\n]*$/)
    if (WRITES) fs.writeFileSync(file, `${lines.join('\n')}\n`)
    assert.equal(`${lines.join('\n')}\n`, fs.readFileSync(file, 'utf8'))
  })
})

describe('every frame', () => {
  for (const [scene, picture] of Object.entries(pictures)) {
    test(`${scene}: as many lines as the terminal has, none wider, at widths from 20 to 300 and in every view`, () => {
      for (const columns of WIDTHS) {
        for (const mode of MODES) {
          for (const rows of [3, 10, 60]) {
            for (const ascii of [columns % 2 === 0]) {
              const frame = frameOf(picture, { ...firstState(), mode }, { columns, rows, ascii })
              assert.equal(frame.length, rows, `${mode} at ${columns}×${rows}`)
              for (const line of frame) {
                assert.ok(lineWidth(line) <= columns, `${mode} at ${columns}×${rows}: ${line.map(({ text }) => text).join('')}`)
              }
            }
          }
        }
      }
    })
  }

  test('leases are on it wherever there is room: whose, what is left, when renewed', () => {
    for (const [columns, rows] of SIZES) {
      const text = frameText(pictures.leases, { columns, rows }).join('\n')
      assert.match(text, /LEASE[^\n]*\n[^\n]*deploy/, `${columns}×${rows}`)
      if (columns >= 80) assert.match(text, /deploy +\S* *expired +ci-7 4242 .*\n.*task-0 .*held +ci-7 4242 +41s +19s +4s ago/)
    }
  })

  test('the verdict and the next command are on it at every size', () => {
    for (const [columns, rows] of SIZES) {
      const text = frameText(pictures.stuck, { columns, rows }).join('\n')
      assert.match(text, /STUCK {2}"send" held 5m12s/)
      assert.match(text, /chainlock why send --pid 4242/)
      assert.match(text, /agent/)
    }
  })

  test(`${SEQUENCES.length} sequences as names, layers, labels, commands and sentences: none comes out`, () => {
    for (let first = 0; first < SEQUENCES.length; first += 12) {
      const evil = SEQUENCES.slice(first, first + 12)
      const locks = evil.map((text, index) =>
        scenes.lock(text, {
          holders: [scenes.holder({ layer: text, label: text, command: text })],
          waiters: [scenes.waiter(1, { layer: text, label: text, command: text })],
          path: text,
          events: [scenes.event(scenes.AT - index, 'forced', { layer: text, other: text, spanMs: 3 })],
          send: scenes.sendBlock({ layers: [{ layer: text, acquisitions: 1, releases: 1, blocked: 1, forced: 1 }] }),
        }),
      )
      const verdict = evil.map((text, index) => ({
        rule: 'STUCK', level: 'bad', lock: text, lockId: locks[index].id, pid: 1, sentence: text, evidence: [text], next: text, since: null,
      }))
      const processes = evil.map((text) => scenes.processView(1, { command: text, commandLine: [text], cwd: text }))
      const unseen = evil.map((text) => ({ pid: 1, command: text, reason: 'permission', advice: text }))
      const picture = pictureAfter((at) => scenes.snapshot({ takenAtMs: at, locks, verdict, processes, unseen }), 1)
      for (const mode of MODES) {
        for (const lock of mode === 'why' ? locks : [null]) {
          for (const state of [{ filter: '' }, { filter: evil[0], typing: true }, { note: evil[1] ?? '' }]) {
            for (const line of frameText(picture, { columns: 120, rows: 60 }, { mode, selectedId: lock?.id ?? null, ...state })) {
              assert.ok(!HARMFUL.test(withoutIsolates(line)), JSON.stringify(line))
            }
          }
        }
      }
    }
  })
})

test('text from right to left is kept to its own columns', () => {
  const line = frameText(pictures.odd, { columns: 120, rows: 60 }).find((text) => text.includes('קובץ'))
  assert.match(line, /\u2066[^\u2066\u2069]*קובץ[^\u2066\u2069]*\S\u2069/)
  assert.ok(width(withoutIsolates(line)) <= 120)
})

test('a filter, a choice and an order change what is shown', () => {
  const size = { columns: 100, rows: 30 }
  const names = (state) => {
    const lines = frameText(pictures.stuck, size, state)
    const start = lines.findIndex((line) => line.includes('LOCK'))
    return lines.slice(start + 1, lines.indexOf('', start)).map((line) => line.slice(2).split(' ')[0])
  }
  assert.deepEqual(names({}), ['send', 'index', 'reports', 'idle'])
  assert.deepEqual(names({ sort: 'name' }), ['idle', 'index', 'reports', 'send'])
  assert.deepEqual(names({ sort: 'contended' }), ['index', 'send', 'idle', 'reports'])
  assert.deepEqual(names({ filter: 'IND' }), ['index'])
  assert.deepEqual(names({ filter: 'nightly' }), ['reports'])
  const chosen = frameText(pictures.stuck, size, { selectedId: 'host:/run/user/0/index.lock' })
  assert.ok(chosen.some((line) => line.startsWith('▸ index')))
  const why = frameText(pictures.stuck, size, { selectedId: 'host:/run/user/0/index.lock', mode: 'why' }).join('\n')
  assert.match(why, /index {2}host · scope host · held ×3r/)
  assert.match(why, /flock 977 \(foreign\)/)
})

test('1,000 locks with 10,000 that wait: a frame is ready within 16 ms', (t) => {
  const picture = pictureAfter((at) => scenes.crowd(1_000, 10, at), 3)
  const size = { columns: 120, rows: 40 }
  const times = Array.from({ length: 40 }, () => {
    const before = process.cpuUsage()
    frameText(picture, size)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1_000
  }).sort((a, b) => a - b)
  t.diagnostic(`median ${times[20].toFixed(1)} ms, best ${times[0].toFixed(1)} ms of processor time`)
  assert.ok(times[20] <= 16, `median ${times[20]} ms`)
})
