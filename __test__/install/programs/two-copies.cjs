// Takes the lock with one copy of chainlock and looks at it with another, loaded in the way that the first
// argument names. Prints what was seen as JSON.
const { readFileSync } = require('node:fs')
const { dirname, join } = require('node:path')
const { pathToFileURL } = require('node:url')
const vm = require('node:vm')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')

const WAYS = {
  'same-thread': async (path) => use(require(path)),
  'es-module': async (path) => use(await import(pathToFileURL(join(path, 'index.js')))),
  'cleared-cache': async (path, firstPath) => {
    for (const file of Object.keys(require.cache)) if (file.startsWith(firstPath)) delete require.cache[file]
    return use(require(firstPath))
  },
  'vm-context': async (path) => use(loadInContext(join(path, 'index.js'), newContext())),
  'worker-thread': async (path) => useInWorker(path),
}

async function main() {
  const [way, firstPath, secondPath] = process.argv.slice(2)
  if (way === 'racing-workers') return race(firstPath, secondPath)
  return meet(require(firstPath), await WAYS[way](secondPath, firstPath))
}

/** The first copy holds; the second sees that; after the release it takes the lock, and the first sees that. */
async function meet(first, second) {
  first.configureSendLock({ cooldownMs: 0 })
  first.tryAcquireSendLock('e2e-executor')
  const firstToken = first.getLockStatus().token
  const sawTheHold = await second.look()
  first.releaseSendLock('e2e-executor')
  const thenTook = await second.take()
  const { sendingLayerId, token } = first.getLockStatus()
  await second.end()
  return { sawTheHold, thenTook, firstSawThat: sendingLayerId, tokensGrow: token > firstToken }
}

function use(chainlock) {
  return {
    look() {
      const { acquired, reason, holder } = chainlock.trySend('window-monitor')
      return { acquired, reason, layerId: holder?.layerId }
    },
    take: () => chainlock.tryAcquireSendLock('window-monitor'),
    end: () => chainlock.releaseSendLock('window-monitor'),
  }
}

function useInWorker(path) {
  const worker = new Worker(__filename, { workerData: path })
  const ask = (question) =>
    new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject)
      worker.postMessage(question)
    })
  return { look: () => ask('look'), take: () => ask('take'), end: () => ask('end').then(() => worker.terminate()) }
}

/** Two threads load two copies at the same moment; then the main thread's copy, the first, meets the second. */
async function race(firstPath, secondPath) {
  const [one, other] = [useInWorker(firstPath), useInWorker(secondPath)]
  await Promise.all([one.end(), other.end()])
  return meet(require(firstPath), useInWorker(secondPath))
}

function newContext() {
  return vm.createContext({ process, Buffer, AbortController, setTimeout, clearTimeout, queueMicrotask })
}

/** A module loader for another realm: the package's JavaScript runs there, Node's own modules are shared. */
function loadInContext(file, context, loaded = new Map()) {
  if (loaded.has(file)) return loaded.get(file).exports
  const module = { exports: {} }
  loaded.set(file, module)
  const requireThere = (wanted) => {
    if (!wanted.startsWith('.')) return require(wanted)
    const path = require.resolve(join(dirname(file), wanted))
    return path.endsWith('.node') ? require(path) : loadInContext(path, context, loaded)
  }
  requireThere.resolve = require.resolve
  const names = ['exports', 'require', 'module', '__filename', '__dirname']
  const body = readFileSync(file, 'utf8')
  const run = vm.compileFunction(body, names, { parsingContext: context, filename: file })
  run(module.exports, requireThere, module, file, dirname(file))
  return module.exports
}

if (isMainThread) {
  main().then((seen) => console.log(JSON.stringify(seen)))
} else {
  const own = use(require(workerData))
  parentPort.on('message', (question) => parentPort.postMessage(own[question]()))
}
