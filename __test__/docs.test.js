// The documents tell the truth: every code block runs and prints what stands below it, every link leads
// somewhere, and the tables of options, fields, events and errors are those of the code.
'use strict'

const assert = require('node:assert/strict')
const { execFile } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { after, test } = require('node:test')
const { promisify } = require('node:util')
const ts = require('typescript')
const chainlock = require('chainlock')

const root = path.dirname(__dirname)
/** Where host locks and the embedded store of leases lie: not the user's. */
const state = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-docs-'))
after(() => fs.rmSync(state, { recursive: true }))
// Some write into it, also where nothing was ever built.
fs.mkdirSync(path.join(root, 'target'), { recursive: true })
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')
const DOCUMENTS = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'],
  ...fs.readdirSync(path.join(root, 'docs'), { recursive: true })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`),
]

// ── Code blocks ──────────────────────────────────────────────────────────────────────────────────────

const FENCE = /^(?:<!-- with: (?<before>[^\n]*) -->\n)?(?:<!-- then: (?<after>[^\n]*) -->\n)?```(?<language>js|diff|ts)\n(?<code>[^]*?)^```$/gm
const PRINTS = /^\n+It prints:\n\n```text\n(?<output>[^]*?)^```$/m

/** The code blocks of a document, each with the code that notes above it put before and after it. */
function blocksOf(document) {
  const text = read(document)
  return [...text.matchAll(FENCE)].map(({ 0: whole, index, groups }) => {
    const below = PRINTS.exec(text.slice(index + whole.length))
    return {
      name: `${document}:${text.slice(0, index).split('\n').length}`,
      language: groups.language,
      code: [groups.before, newSide(groups), groups.after].filter(Boolean).join('\n'),
      output: below?.index === 0 ? below.groups.output : undefined,
    }
  })
}

function newSide({ language, code }) {
  if (language !== 'diff') return code
  const kept = code.split('\n').filter((line) => !line.startsWith('-'))
  return kept.map((line) => line.slice(1)).join('\n')
}

const isModule = (code) => /^(import|export) /m.test(code)

/** Runs a program in the checkout, where the package's own name leads to it. */
async function outputOf(code) {
  const { NODE_OPTIONS, NODE_TEST_CONTEXT, CHAINLOCK_LOG, CHAINLOCK_JOURNAL, ...env } = process.env
  const type = isModule(code) ? 'module' : 'commonjs'
  const args = [`--input-type=${type}`, '--eval', code]
  const home = fs.mkdtempSync(path.join(state, 'block-'))
  const own = { ...env, XDG_STATE_HOME: home, XDG_RUNTIME_DIR: home }
  return promisify(execFile)(process.execPath, args, { cwd: root, env: own, timeout: 120_000 })
}

const blocks = DOCUMENTS.flatMap(blocksOf)

test('code blocks run, and print what stands below them', { concurrency: true }, async (t) => {
  const runs = blocks.filter((block) => block.language !== 'ts')
  await Promise.all(runs.map(({ name, code, output }) => t.test(name, async () => {
    const { stdout, stderr } = await outputOf(code)
    assert.equal(stderr, '')
    if (output !== undefined) assert.equal(stdout, output)
  })))
  const compared = runs.filter((block) => block.output !== undefined).length
  t.diagnostic(`${runs.length} blocks run, ${compared} outputs compared`)
})

test('every printed output has its block right above it', () => {
  const outputs = DOCUMENTS.map((name) => read(name).match(/^It prints:$/gm)?.length ?? 0).reduce((sum, n) => sum + n, 0)
  assert.equal(blocks.filter((block) => block.output !== undefined).length, outputs)
})

test('TypeScript blocks compile', () => {
  const programs = blocks.filter((block) => block.language === 'ts')
  assert.ok(programs.length > 0)
  for (const { name, code } of programs) assert.deepEqual(typeErrors(code), [], name)
})

/** What the compiler says of a program that lies beside index.js, in the settings of the README. */
function typeErrors(code) {
  const options = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2022, types: ['node'] },
    ...{ module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
  }
  const file = path.join(root, 'documented.mts').replaceAll('\\', '/')
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.getCurrentDirectory = () => root
  host.fileExists = (name) => name === file || fileExists(name)
  host.readFile = (name) => (name === file ? code : readFile(name))
  host.getSourceFile = (name, ...rest) =>
    name === file ? ts.createSourceFile(name, code, options.target, true) : getSourceFile(name, ...rest)
  const program = ts.createProgram([file], options, host)
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

// ── Links ────────────────────────────────────────────────────────────────────────────────────────────

/** The anchors of a document's headings, as they are made where the documents are shown. */
function anchorsOf(document) {
  const headings = read(document).matchAll(/^#+ (.+)$/gm)
  return [...headings].map(([, heading]) => heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-'))
}

/** Whether a file is in the packed package. */
function isPacked(file) {
  const { files } = require('chainlock/package.json')
  const isUnder = (name) => file === name || file.startsWith(`${name}/`)
  const left = files.filter((name) => name.startsWith('!')).map((name) => name.slice(1))
  return ['README.md', 'LICENSE', 'package.json', ...files].some(isUnder) && !left.some(isUnder)
}

test('every link leads to a file, from a packed document to a packed one, and to a heading', () => {
  let count = 0
  for (const document of DOCUMENTS) {
    for (const [, target] of read(document).matchAll(/\]\((?!https:)([^)\s]+)\)/g)) {
      const [file, anchor] = target.split('#')
      const linked = file ? path.posix.join(path.posix.dirname(document), file) : document
      assert.ok(fs.existsSync(path.join(root, linked)), `${document} links to ${target}`)
      // Pictures are for those who read the repository: larger than all documents together.
      const isThere = isPacked(linked) || linked.endsWith('.png')
      assert.ok(isThere || !isPacked(document), `${document} is packed, ${target} is not`)
      if (anchor) assert.ok(anchorsOf(linked).includes(anchor), `${document} links to the heading ${target}`)
      count += 1
    }
  }
  assert.ok(count > 20)
})

// ── Tables ───────────────────────────────────────────────────────────────────────────────────────────

/** The body rows of the first table that follows a text, each as its cells. */
function tableAfter(document, text) {
  const whole = read(document)
  assert.ok(whole.includes(text), `${document} has ${text}`)
  const lines = whole.slice(whole.indexOf(text)).split('\n')
  const begin = lines.findIndex((line) => line.startsWith('|'))
  const end = lines.findIndex((line, at) => at > begin && !line.startsWith('|'))
  return lines.slice(begin + 2, end).map((line) => line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim()))
}

const unquoted = (cell) => cell.replace(/^`(.*)`$/, '$1')
const firstColumn = (document, text) => tableAfter(document, text).map(([cell]) => unquoted(cell))

/** The property names that an interface of index.d.ts declares itself. */
function declaredKeys(name) {
  const source = ts.createSourceFile('index.d.ts', read('index.d.ts'), ts.ScriptTarget.ES2022)
  const found = source.statements.find((one) => ts.isInterfaceDeclaration(one) && one.name.text === name)
  return found.members.map((member) => member.name.text)
}

test('the table of settings has every setting, with the default that the native code has', () => {
  const documented = tableAfter('docs/send-lock.md', '### `configureSendLock(settings)`')
  const defaults = new chainlock.SharedLock().configure({})
  assert.deepEqual(documented.map(([name]) => unquoted(name)).sort(), declaredKeys('SendLockSettings').sort())
  for (const [name, value] of documented) {
    const said = JSON.parse(unquoted(value).replaceAll("'", '"'))
    assert.deepEqual(said, defaults[unquoted(name)], name)
  }
  assert.deepEqual(Object.keys(defaults).sort(), declaredKeys('SendLockSettings').sort())
})

test('the tables of request and wait options have every option', () => {
  const requests = firstColumn('docs/send-lock.md', '### `tryAcquireSendLock(layerId, options)`')
  const waits = firstColumn('docs/send-lock.md', '### `acquireSendLock(layerId, options)`')
  assert.deepEqual(requests.sort(), declaredKeys('SendRequestOptions').sort())
  assert.deepEqual(waits.sort(), declaredKeys('SendWaitOptions').sort())
})

test('the tables of metrics and status have every field', () => {
  const metrics = firstColumn('docs/observing.md', '`getMetrics()` counts since')
  const status = firstColumn('docs/observing.md', '`getLockStatus()` says how things are now')
  assert.deepEqual(metrics.sort(), Object.keys(chainlock.getMetrics()).sort())
  assert.deepEqual(status.sort(), Object.keys(chainlock.getLockStatus()).sort())
})

test('the tables of named locks have every option, setting and count', () => {
  const options = ['LockTryOptions', 'LockSyncOptions', 'LockAcquireOptions'].flatMap(declaredKeys)
  assert.deepEqual(firstColumn('docs/locks.md', '### `acquire(name, options)`').sort(), options.sort())
  const extras = firstColumn('docs/from-web-locks.md', '## More').flatMap((cell) => cell.match(/\w+/g))
  const standard = ['mode', 'ifAvailable', 'steal', 'signal']
  assert.deepEqual([...extras, ...standard].sort(), declaredKeys('LockOptions').sort())
  const counted = firstColumn('docs/locks.md', '| of each mode').flatMap((cell) => cell.match(/\w+/g))
  assert.deepEqual(counted.sort(), declaredKeys('LockModeStatistics').sort())
  const settings = tableAfter('docs/locks.md', '### `configure(settings)`')
  const inForce = chainlock.locks.configure({})
  assert.deepEqual(settings.map(([name]) => unquoted(name)).sort(), declaredKeys('LocksSettings').sort())
  for (const [name, value] of settings) {
    assert.deepEqual(JSON.parse(unquoted(value).replaceAll("'", '"')), inForce[unquoted(name)], name)
  }
  assert.deepEqual(Object.keys(inForce).sort(), declaredKeys('LocksSettings').sort())
})

test('the table of events has every event', () => {
  assert.deepEqual(firstColumn('docs/observing.md', '## Events').sort(), declaredKeys('SendEventMap').sort())
})

test('the page of errors has every code, and no other', () => {
  const [, union] = /export type ChainlockErrorCode =([^]*?)\n\n/.exec(read('index.d.ts'))
  const declared = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code)
  const documented = [...read('docs/errors.md').matchAll(/^## (ERR_\w+)$/gm)].map(([, code]) => code)
  assert.ok(declared.length > 5)
  assert.deepEqual(documented, declared)
})

test('the platforms are those of the package', () => {
  const packages = fs.readdirSync(path.join(root, 'npm')).map((name) => `chainlock-${name}`)
  const documented = tableAfter('docs/platforms.md', '## Where it runs').map((cells) => unquoted(cells.at(-1)))
  assert.deepEqual(documented.sort(), packages.sort())
})

test('no document names a place of one machine', () => {
  for (const document of DOCUMENTS) assert.doesNotMatch(read(document), /\/(?:root|tmp|home|work)\/|localhost/, document)
})
