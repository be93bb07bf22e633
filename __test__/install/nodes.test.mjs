// The packed package, installed by npm into an empty project with no toolchain in reach, works on every
// supported Node: by require, by import, and from TypeScript.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { before, test } from 'node:test'
import { NODE_MAJORS, answerOf, bareEnvironment, lendNodeTypes, nodeBinary, pack, programs, projectWith, root, run } from './workshop.mjs'

const require = createRequire(import.meta.url)
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
let project

before(async () => {
  project = await projectWith(await pack())
  for (const program of ['require.cjs', 'import.mjs']) copyFileSync(join(programs, program), join(project, program))
  await compileTypeScript()
})

/** Compiles the programs of the typings' tests in the project, once for each way to resolve modules. */
async function compileTypeScript() {
  lendNodeTypes(project)
  for (const program of ['usage.mts', 'usage.cts']) copyFileSync(join(root, '__test__/types', program), join(project, program))
  const shared = { target: 'es2022', lib: ['es2023', 'esnext.disposable'], types: ['node'], strict: true }
  await compile('node16', { ...shared, module: 'node16', moduleResolution: 'node16' }, ['usage.mts', 'usage.cts'])
  await compile('bundler', { ...shared, module: 'esnext', moduleResolution: 'bundler' }, ['usage.mts'])
}

async function compile(name, compilerOptions, files) {
  mkdirSync(join(project, name))
  const config = join(project, `tsconfig.${name}.json`)
  writeFileSync(config, JSON.stringify({ compilerOptions: { ...compilerOptions, rootDir: '.', outDir: name }, files }))
  await run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', config], { cwd: project })
}

test('no toolchain is in reach while it is installed and runs', async () => {
  for (const tool of ['cargo', 'rustc', 'cc', 'npm']) {
    await assert.rejects(run(tool, ['--version'], { env: bareEnvironment() }), { code: 'ENOENT' })
  }
})

for (const major of NODE_MAJORS) {
  test(`Node ${major}: require, also in a worker thread`, async (t) => {
    const seen = await answerOf(await nodeBinary(major), ['require.cjs'], { cwd: project })
    t.diagnostic(`Node ${seen.node}`)
    assert.equal(Number.parseInt(seen.node), major)
    assert.deepEqual(seen, {
      node: seen.node,
      version,
      taken: true,
      fromWorker: { acquired: false, reason: 'held', layerId: 'e2e-executor' },
      released: true,
    })
  })

  test(`Node ${major}: import, every export by its name`, async () => {
    const seen = await answerOf(await nodeBinary(major), ['import.mjs'], { cwd: project })
    const names = seen.names.filter((name) => name !== 'default' && name !== 'module.exports')
    assert.deepEqual(names, Object.keys(require(root)).sort())
    assert.deepEqual({ ...seen, names }, {
      node: seen.node,
      version,
      names,
      same: true,
      reason: 'because',
      lost: true,
      answer: 'window-monitor',
    })
  })

  for (const program of ['node16/usage.mjs', 'node16/usage.cjs', 'bundler/usage.mjs']) {
    test(`Node ${major}: TypeScript, compiled to ${program}`, async () => {
      const { stdout } = await run(await nodeBinary(major), [program], { cwd: project, env: bareEnvironment() })
      assert.match(stdout, new RegExp(`: chainlock ${version} on Node ${major}\\.`))
    })
  }
}
