// Compiles decorators.ts with standard decorators and with TypeScript's `experimentalDecorators`, and runs both.
//
//   node examples/locks/compile-and-run.js
'use strict'

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.resolve(__dirname, '..', '..')
const OPTIONS = [
  ...['--strict', '--target', 'es2022', '--lib', 'es2023,esnext.disposable,decorators,decorators.legacy'],
  ...['--module', 'node16', '--moduleResolution', 'node16', '--types', 'node'],
]
const KINDS = { 'standard decorators': [], experimentalDecorators: ['--experimentalDecorators'] }

for (const [kind, options] of Object.entries(KINDS)) {
  console.log(`${kind}:`)
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'chainlock-decorators-'))
  try {
    const tsc = require.resolve('typescript/bin/tsc')
    const source = path.join(__dirname, 'decorators.ts')
    run([tsc, ...OPTIONS, ...options, '--rootDir', __dirname, '--outDir', directory, source])
    fs.mkdirSync(path.join(directory, 'node_modules'))
    fs.symlinkSync(root, path.join(directory, 'node_modules', 'chainlock'), 'junction')
    run([path.join(directory, 'decorators.js')])
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** @param {string[]} args */
function run(args) {
  execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
}
