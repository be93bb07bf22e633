// Reading Prometheus text, as a scraper does, and what promtool says of it.
'use strict'

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')

const LINE = /^(?<name>[a-z_]+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/
const LABEL = /(?<name>[a-z_]+)="(?<value>(?:\\.|[^"\\])*)"(?:,|$)/y
const ESCAPED = { n: '\n', '"': '"', '\\': '\\' }

/**
 * Every sample of a text. A line that is none fails.
 * @returns {{ name: string, labels: Record<string, string>, value: number }[]}
 */
function samplesOf(text) {
  assert.ok(text.endsWith('\n'))
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('# ')).map((line) => {
    const found = LINE.exec(line)
    assert.ok(found, `not a sample: ${line}`)
    const { name, labels = '', value } = found.groups
    return { name, labels: labelsOf(labels), value: value === '+Inf' ? Infinity : Number(value) }
  })
}

function labelsOf(text) {
  const labels = {}
  LABEL.lastIndex = 0
  for (let at = 0; at < text.length; at = LABEL.lastIndex) {
    const found = LABEL.exec(text)
    assert.ok(found, `not labels: ${text}`)
    labels[found.groups.name] = found.groups.value.replace(/\\(.)/g, (_, letter) => ESCAPED[letter])
  }
  return labels
}

/** The value of the one sample with that name and at least those labels. */
function valueOf(text, name, labels = {}) {
  const found = samplesOf(text).filter((sample) =>
    sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
  assert.equal(found.length, 1, `${found.length} samples of ${name} ${JSON.stringify(labels)}`)
  return found[0].value
}

/** The names that stand behind `# TYPE`. */
function familiesOf(text) {
  return [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => ({ name, type }))
}

/**
 * What promtool prints about a text or a file; null where there is no promtool, which only a computer of one's own
 * may lack.
 * @param {string[]} args
 * @param {string} [input]
 */
function promtool(args, input) {
  const { error, status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' })
  if (error) {
    assert.ok(!process.env.CI, 'promtool is missing, and CI must have it')
    return null
  }
  return { status, output: stdout + stderr }
}

module.exports = { samplesOf, valueOf, familiesOf, promtool }
