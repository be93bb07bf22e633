// Cuts the few types that the tests' GitHub serves out of GitHub's public GraphQL schema, as published in the
// npm package @octokit/graphql-schema (MIT, see LICENSE.md), and prints them:
//
//   node extract.mjs node_modules/@octokit/graphql-schema/schema.graphql > schema.graphql
//
// What is kept is GitHub's own, word for word, without its prose; nothing is added.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Kind, parse, print } from 'graphql'

/** The fields kept of each object and interface. Inputs, enums and scalars that these need are kept whole. */
const KEPT = {
  Query: ['id', 'rateLimit', 'repository', 'viewer'],
  Mutation: ['updateRefs'],
  Node: ['id'],
  Repository: ['databaseId', 'defaultBranchRef', 'id', 'name', 'nameWithOwner', 'object', 'ref', 'refs'],
  Ref: ['id', 'name', 'prefix', 'target'],
  RefConnection: ['edges', 'nodes', 'pageInfo', 'totalCount'],
  RefEdge: ['cursor', 'node'],
  PageInfo: ['endCursor', 'hasNextPage', 'hasPreviousPage', 'startCursor'],
  GitObject: ['abbreviatedOid', 'id', 'oid'],
  Commit: ['abbreviatedOid', 'authoredDate', 'committedDate', 'id', 'message', 'oid', 'tree'],
  Tree: ['abbreviatedOid', 'id', 'oid'],
  RateLimit: ['cost', 'limit', 'nodeCount', 'remaining', 'resetAt', 'used'],
  User: ['databaseId', 'id', 'login'],
  UpdateRefsPayload: ['clientMutationId'],
}

const BUILT_IN = new Set(['Boolean', 'Float', 'ID', 'Int', 'String'])
const WITHOUT_PROSE = { description: undefined, directives: [] }

const [, , file] = process.argv
const { name: from, version } = JSON.parse(readFileSync(join(dirname(file), 'package.json'), 'utf8'))
const source = parse(readFileSync(file, 'utf8'))
const types = new Map(source.definitions.map((definition) => [definition.name?.value, definition]))
const kept = new Map()
for (const name of Object.keys(KEPT)) keep(name)
console.log(`# An extract of ${from} ${version}, made by extract.mjs; its licence is in LICENSE.md.\n`)
console.log([...kept.keys()].sort().map((name) => print(kept.get(name))).join('\n\n'))

function keep(name) {
  if (kept.has(name) || BUILT_IN.has(name)) return
  const definition = types.get(name)
  if (definition === undefined) throw new Error(`GitHub's schema has no type ${name}`)
  kept.set(name, { ...definition, ...WITHOUT_PROSE })
  const own = partsOf(name, definition)
  kept.set(name, { ...definition, ...WITHOUT_PROSE, ...own })
  for (const field of own.fields ?? []) {
    for (const typed of [field, ...(field.arguments ?? [])]) keep(innermost(typed.type))
  }
}

/** What is kept of a type's fields, values and interfaces. */
function partsOf(name, definition) {
  const plain = (node) => ({ ...node, ...WITHOUT_PROSE, ...(node.arguments && { arguments: node.arguments.map(plain) }) })
  if (definition.kind === Kind.ENUM_TYPE_DEFINITION) return { values: definition.values.map(plain) }
  if (definition.kind === Kind.INPUT_OBJECT_TYPE_DEFINITION) return { fields: definition.fields.map(plain) }
  if (definition.kind === Kind.SCALAR_TYPE_DEFINITION) return {}
  if (KEPT[name] === undefined) throw new Error(`${name} is needed: name the fields of it that are kept`)
  return {
    fields: KEPT[name].map((field) => plain(fieldOf(definition, field))),
    interfaces: definition.interfaces.filter((one) => KEPT[one.name.value] !== undefined),
  }
}

function fieldOf(definition, name) {
  const field = definition.fields.find((one) => one.name.value === name)
  if (field === undefined) throw new Error(`GitHub's ${definition.name.value} has no field ${name}`)
  return field
}

function innermost(type) {
  return type.kind === Kind.NAMED_TYPE ? type.name.value : innermost(type.type)
}
