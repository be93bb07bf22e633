// GitHub's GraphQL API over the extract of its public schema: executed by the reference implementation, so that what
// GitHub does not have is refused here too.
'use strict'

const fs = require('node:fs')
const path = require('node:path')
const { GraphQLError, buildSchema, execute, getOperationAST, parse, validate } = require('graphql')
const { Refusal, OID, mayWrite } = require('./repository')
const { repositoryId } = require('./rest')

const WITHOUT_UPDATE_REFS = /^ {2}updateRefs\(.*\n/m

/** GitHub's extract; `older` is a server that does not have `updateRefs` yet. */
function readSchema({ older = false } = {}) {
  const text = fs.readFileSync(path.join(__dirname, 'graphql', 'schema.graphql'), 'utf8')
  // A type needs a field to be valid.
  const schema = buildSchema(older ? text.replace(WITHOUT_UPDATE_REFS, '  noop: Boolean\n') : text, { assumeValidSDL: true })
  const oid = /** @type {import('graphql').GraphQLScalarType} */ (schema.getType('GitObjectID'))
  oid.parseValue = oidOf
  oid.parseLiteral = (node) => oidOf('value' in node ? node.value : undefined)
  return schema
}

function oidOf(value) {
  if (typeof value === 'string' && OID.test(value)) return value
  throw new GraphQLError('A Git object ID has 40 hexadecimal digits')
}

const known = readSchema()

/** What a GraphQL request is: what it asks for, whether it writes, and what GitHub's schema has against it. */
function readRequest(body) {
  try {
    if (typeof body?.query !== 'string') throw new GraphQLError('A query attribute must be specified and must be a string.')
    const document = parse(body.query)
    const chosen = getOperationAST(document, body.operationName ?? undefined)
    const fields = chosen?.selectionSet.selections.map((one) => ('name' in one ? one.name.value : 'fragment')) ?? []
    return {
      document,
      operation: `graphql/${fields.join('+')}`,
      isWrite: chosen?.operation === 'mutation',
      faults: validate(known, document).map(({ message }) => message),
    }
  } catch (error) {
    return { document: null, operation: 'graphql/', isWrite: false, faults: [error.message] }
  }
}

/** Answers as GitHub does: 200, and what went wrong in `errors`; `faults` are the variables that do not fit. */
async function answerGraphql(world, { document, faults }, { variables, operationName }, asOf) {
  if (document === null) return { status: 200, body: { errors: faults.map((message) => ({ message })) } }
  const invalid = validate(world.schema, document)
  if (invalid.length > 0) return { status: 200, body: { errors: invalid.map(undefinedField) } }
  const rootValue = rootOf(world, asOf)
  const answer = await execute({ schema: world.schema, document, rootValue, variableValues: variables, operationName })
  const errors = answer.errors?.map(shownError)
  const unfit = 'data' in answer ? [] : errors.map(({ message }) => message)
  return { status: 200, body: { ...answer, ...(errors && { errors }) }, faults: unfit }
}

function undefinedField({ message, locations }) {
  return { message, locations, extensions: { code: /Cannot query field/.test(message) ? 'undefinedField' : 'invalid' } }
}

function shownError({ message, locations, path: at, originalError }) {
  return { ...(originalError instanceof Refusal && { type: originalError.type }), path: at, locations, message }
}

// ── What the fields answer ───────────────────────────────────────────────────────────────────────────────

function rootOf(world, asOf) {
  const { repository, user, limits } = world
  return {
    id: 'Q_root',
    viewer: { id: user.node_id, databaseId: user.id, login: user.login },
    rateLimit() {
      if (limits.graphql === null) return null
      const { reset, ...shown } = limits.graphql.shown()
      return { ...shown, cost: 1, nodeCount: 0, resetAt: new Date(reset * 1000).toISOString() }
    },
    repository({ owner, name }) {
      if (`${owner}/${name}`.toLowerCase() !== repository.fullName.toLowerCase()) throw unknownRepository()
      return repositoryOf(repository, asOf)
    },
    updateRefs: ({ input }) => updateRefs(world, input),
  }
}

async function updateRefs({ repository, access }, { repositoryId: id, refUpdates, clientMutationId }) {
  if (id !== repositoryId(repository)) throw unknownRepository()
  mayWrite(access)
  await repository.updateRefs(
    refUpdates.map(({ name, beforeOid: before, afterOid: after, force }) => ({ name, before: before ?? undefined, after, force })),
  )
  return { clientMutationId }
}

function repositoryOf(repository, asOf) {
  const [, name] = repository.fullName.split('/')
  const refOf = async (full, prefix = prefixOf(full)) => {
    const target = await repository.ref(full, asOf)
    return target === null ? null : shownRef(repository, asOf, full, prefix, target.oid)
  }
  return {
    id: repositoryId(repository),
    databaseId: 4711,
    name,
    nameWithOwner: repository.fullName,
    defaultBranchRef: () => refOf('refs/heads/main'),
    async ref({ qualifiedName }) {
      return (await refOf(qualifiedName)) ?? refOf(`refs/heads/${qualifiedName}`)
    },
    async refs({ refPrefix, first, after, last, before, query, direction, orderBy }) {
      if ((last ?? before ?? null) !== null) throw new Refusal(422, 'Only first and after are served here')
      if (!(first >= 1 && first <= 100)) throw new Refusal(422, 'first is needed, from 1 to 100', 'EXCESSIVE_PAGINATION')
      const found = (await repository.refs(refPrefix, asOf)).filter(([full]) => full.includes(query ?? ''))
      if ((orderBy?.direction ?? direction) === 'DESC') found.reverse()
      return pageOf(found, first, after, ([full, oid]) => shownRef(repository, asOf, full, refPrefix, oid))
    },
    async object({ oid, expression }) {
      if ((oid ?? null) !== null) return shownObject(repository, asOf, oid)
      const target = await repository.ref(expression, asOf)
      return target && shownObject(repository, asOf, target.oid)
    },
  }
}

function pageOf(found, first, after, shown) {
  const start = after === undefined || after === null ? 0 : Number(Buffer.from(after, 'base64').toString()) + 1
  const page = found.slice(start, start + first)
  const edges = page.map((one, i) => ({ cursor: Buffer.from(String(start + i)).toString('base64'), node: shown(one) }))
  return {
    edges,
    nodes: edges.map(({ node }) => node),
    totalCount: found.length,
    pageInfo: {
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
      hasPreviousPage: start > 0,
      hasNextPage: start + first < found.length,
    },
  }
}

function shownRef(repository, asOf, full, prefix, oid) {
  return {
    id: `REF_${Buffer.from(full).toString('base64url')}`,
    name: full.slice(prefix.length),
    prefix,
    target: () => shownObject(repository, asOf, oid),
  }
}

async function shownObject(repository, asOf, oid) {
  const commit = await repository.commit(oid, asOf)
  if (commit !== null) return { ...objectOf('Commit', oid), ...datesOf(commit), tree: objectOf('Tree', commit.tree) }
  const object = await repository.object(oid, asOf)
  return object?.type === 'tree' ? objectOf('Tree', oid) : null
}

function objectOf(type, oid) {
  return { __typename: type, id: `${type[0]}_${Buffer.from(oid).toString('base64url')}`, oid, abbreviatedOid: oid.slice(0, 7) }
}

function datesOf({ message, author, committer }) {
  const shown = (date) => date.toISOString().replace(/\.\d+Z$/, 'Z')
  return { message, authoredDate: shown(author.date), committedDate: shown(committer.date) }
}

/** `refs/heads/` of `refs/heads/a/b`. */
function prefixOf(full) {
  return /^refs\/[^/]+\//.exec(full)?.[0] ?? ''
}

function unknownRepository() {
  return new Refusal(404, 'Could not resolve to a Repository with the name given.', 'NOT_FOUND')
}

module.exports = { readSchema, readRequest, answerGraphql }
