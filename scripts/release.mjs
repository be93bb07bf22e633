// Turns this checkout and the addons built for every platform into the packages to publish: the platform
// packages in npm/, each with its addon, and the main package that names them at the same version.
//
//   node scripts/release.mjs FOLDER_WITH_ALL_ADDONS REPOSITORY_URL [TAG]
//
// It changes the checkout; the release workflow runs it in one that is thrown away.
import { copyFileSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Failure, npm, root, run, runScript } from './env.mjs'

const require = createRequire(import.meta.url)

await runScript(() => {
  const [addons, repository, tag] = process.argv.slice(2)
  if (!addons || !repository) throw new Failure('usage: node scripts/release.mjs ADDONS REPOSITORY_URL [TAG]')
  checkTag(tag)
  // Provenance is refused to a package that does not say where it comes from.
  npm(['pkg', 'set', 'repository.type=git', `repository.url=${repository}`])
  napi(['create-npm-dirs'])
  napi(['artifacts', '--output-dir', addons, '--npm-dir', 'npm'])
  for (const platform of readdirSync(join(root, 'npm'))) {
    copyFileSync(join(root, 'LICENSE'), join(root, 'npm', platform, 'LICENSE'))
  }
  napi(['pre-publish', '--tag-style', 'npm', '--no-gh-release', '--skip-optional-publish'])
  removeAddonsOfMainPackage()
})

function checkTag(tag) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  if (tag && tag !== `v${version}`) throw new Failure(`the tag is ${tag}, but package.json says ${version}.`)
}

function napi(args) {
  const manifest = require.resolve('@napi-rs/cli/package.json')
  run(process.execPath, [join(dirname(manifest), require(manifest).bin.napi), ...args])
}

/** A published main package has no addon of its own: each platform downloads only its own one. */
function removeAddonsOfMainPackage() {
  for (const name of readdirSync(join(root, 'lib'))) if (name.endsWith('.node')) rmSync(join(root, 'lib', name))
}
