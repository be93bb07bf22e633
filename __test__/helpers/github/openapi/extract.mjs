// Cuts the operations that the tests' GitHub serves out of GitHub's public OpenAPI description, as published in the npm
// package @octokit/openapi (MIT, see LICENSE), and prints them:
//
//   node extract.mjs node_modules/@octokit/openapi/generated/api.github.com.json > subset.json
//
// What is kept is GitHub's own, without its prose and examples. One thing is said in other words: `nullable`, which is
// OpenAPI 3.0, as JSON Schema says it.
import { readFileSync } from 'node:fs'

const KEPT = [
  'repos/get',
  ...['create-ref', 'update-ref', 'delete-ref', 'get-ref', 'list-matching-refs'].map((name) => `git/${name}`),
  ...['create-commit', 'get-commit', 'create-tree'].map((name) => `git/${name}`),
  ...['get', 'update', 'create-comment', 'list-comments', 'update-comment'].map((name) => `issues/${name}`),
  ...['add-assignees', 'remove-assignees', 'add-labels', 'remove-label'].map((name) => `issues/${name}`),
  'rate-limit/get',
  'users/get-authenticated',
]
const PROSE = new Set(['description', 'example', 'examples', 'externalDocs', 'deprecated', 'summary', 'title'])
const SERVED_TYPE = 'application/json'

const whole = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const subset = { openapi: whole.openapi, info: whole.info, paths: {}, components: {} }
const methods = Object.entries(whole.paths).flatMap(([path, all]) =>
  Object.entries(all).map(([method, one]) => ({ path, method, one })),
)
for (const id of KEPT) {
  const { path, method, one } = methods.find(({ one }) => one.operationId === id)
  const { operationId, parameters = [], requestBody, responses } = one
  subset.paths[path] ??= {}
  subset.paths[path][method] = plain({ operationId, parameters, requestBody, responses })
}
// What is kept names components, and these name others.
for (let size = -1; size !== componentCount(); ) {
  size = componentCount()
  for (const [, kind, name] of JSON.stringify(subset).matchAll(/"#\/components\/(\w+)\/([^"]+)"/g)) {
    subset.components[kind] ??= {}
    subset.components[kind][name] ??= plain(whole.components[kind][name])
  }
}
console.log(JSON.stringify(subset))

function componentCount() {
  return Object.values(subset.components).reduce((sum, all) => sum + Object.keys(all).length, 0)
}

/** Without prose. `named` is a node whose keys are names of the description, and not its words. */
function plain(node, named = false) {
  if (Array.isArray(node)) return node.map((one) => plain(one))
  if (typeof node !== 'object' || node === null) return node
  const kept = {}
  for (const [key, value] of Object.entries(node)) {
    if (!named && (PROSE.has(key) || key.startsWith('x-') || value === undefined)) continue
    if (key === 'content' && !named) kept.content = SERVED_TYPE in value ? { [SERVED_TYPE]: plain(value[SERVED_TYPE]) } : {}
    else kept[key] = plain(value, !named && ['properties', 'responses', 'headers'].includes(key))
  }
  return named ? kept : withNull(kept)
}

function withNull({ nullable, ...schema }) {
  if (nullable !== true) return schema
  if (schema.type === undefined) return { anyOf: [schema, { type: 'null' }] }
  return { ...schema, type: [schema.type, 'null'], ...(schema.enum && { enum: [...new Set([...schema.enum, null])] }) }
}
