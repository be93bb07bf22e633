// What failed, in few words: for the end of a long output, of which people often see nothing else.

const MOST_LINES = 40
const MOST_FAILURES = 12

/** Of a TAP report by node's test runner: name, place and error of each test that failed by itself. */
export function failuresInTap(tap) {
  const lines = tap.split('\n')
  const found = []
  for (const [at, line] of lines.entries()) {
    const [, indent, name] = /^( *)not ok \d+ - (.*)$/.exec(line) ?? []
    if (name === undefined) continue
    const end = lines.indexOf(`${indent}  ...`, at)
    const said = lines.slice(at + 1, end === -1 ? at + 1 + MOST_LINES : end).map((text) => text.slice(indent.length + 2))
    // A file or a suite fails with one of its tests, which says why.
    if (said.some((text) => /failureType: 'subtestsFailed'/.test(text))) continue
    found.push([name, ...said.filter((text) => !/^(---|duration_ms|type:)/.test(text))])
  }
  return found.map(shortened)
}

/** Of the output of `scripts/rust-checks.mjs`: the checks that failed, and where tests panicked in them. */
export function failuresOfRust(output) {
  const lines = output.split('\n')
  const failed = lines.filter((line) => /^(FAIL |rust-checks: |test .* FAILED$)/.test(line))
  const names = failed.map((line) => /^test (\S+) /.exec(line)?.[1]).filter(Boolean)
  const panics = lines.flatMap((line, at) =>
    names.some((name) => line.startsWith(`thread '${name}'`)) ? [lines.slice(at, at + 12)] : [],
  )
  return [failed, ...panics].filter((lines) => lines.length > 0).map(shortened)
}

/** Of any program: how its output ended. */
export function endOf(title, output) {
  return shortened([title, ...output.trimEnd().split('\n').slice(-MOST_LINES)])
}

export function printFailures(failures) {
  if (failures.length === 0) return
  console.log('\n━━━ what failed')
  for (const lines of failures.slice(0, MOST_FAILURES)) console.log(`\n${lines.join('\n')}`)
  if (failures.length > MOST_FAILURES) console.log(`\nand ${failures.length - MOST_FAILURES} more`)
}

function shortened(lines) {
  return lines.slice(0, MOST_LINES).map((line) => line.slice(0, 400))
}
