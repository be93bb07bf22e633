// GitHub's OpenAPI description (the extract in openapi/): which operation a request is, and what of a request or an
// answer does not match it. Stricter than GitHub in one point: a parameter that is not described is a fault, because it
// is a typing error that GitHub would silently pass over.
'use strict'

const { default: Ajv } = require('ajv')
const { default: addFormats } = require('ajv-formats')
const document = require('./openapi/subset.json')

/** Answered by what stands in front of every operation, and so not described with each. */
const GENERAL_STATUS = new Set([400, 401, 403, 404, 429, 500, 502, 503])

const ajv = addFormats(new Ajv({ strict: false, allErrors: true }))
ajv.addSchema(document, 'github')

const operations = Object.entries(document.paths).flatMap(([template, methods]) =>
  Object.entries(methods).map(([method, description]) => ({
    id: description.operationId,
    method: method.toUpperCase(),
    pattern: patternOf(template),
    pointer: `#/paths/${template.replaceAll('~', '~0').replaceAll('/', '~1')}/${method}`,
    description,
    parameters: (description.parameters ?? []).map(resolved),
  })),
)

/** A ref has slashes, everything else is one part. */
function patternOf(template) {
  return new RegExp(`^${template.replace(/\{(\w+)\}/g, (_, name) => `(?<${name}>${name === 'ref' ? '.+' : '[^/]+'})`)}$`)
}

function resolved(node) {
  if (node?.$ref === undefined) return node
  return node.$ref.split('/').slice(1).reduce((at, part) => at[part], document)
}

/** The operation of a request and its path parameters, or null. */
function operationOf(method, path) {
  for (const operation of operations) {
    const match = operation.method === method ? operation.pattern.exec(path) : null
    if (match) return { operation, params: decoded(match.groups ?? {}) }
  }
  return null
}

function decoded(groups) {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decodeURIComponent(value)]))
}

/** What of a request is not as described, and its parameters with their types. */
function checkRequest({ operation, params }, query, body) {
  const faults = []
  const typed = {}
  const given = { path: params, query }
  for (const name of Object.keys(query)) {
    if (!operation.parameters.some((one) => one.in === 'query' && one.name === name)) faults.push(`query: unknown ${name}`)
  }
  for (const { name, in: place, required, schema } of operation.parameters) {
    const text = given[place][name]
    if (text === undefined) {
      if (required) faults.push(`${place}: ${name} is missing`)
      continue
    }
    typed[name] = schema.type === 'integer' && /^-?\d+$/.test(text) ? Number(text) : text
    faults.push(...wrong(schema, typed[name], `${place}: ${name}`))
  }
  return { faults: [...faults, ...wrongBody(operation, body)], params: typed }
}

function wrongBody({ description, pointer }, body) {
  const described = description.requestBody
  if (described === undefined) return body === undefined ? [] : ['body: none is described']
  if (body === undefined) return described.required ? ['body: is missing'] : []
  const { schema } = described.content['application/json']
  const known = [schema, ...(schema.oneOf ?? [])].flatMap((one) => Object.keys(one.properties ?? {}))
  const unknown = Object.keys(body).filter((name) => !Array.isArray(body) && !known.includes(name))
  const faults = unknown.map((name) => `body: unknown ${name}`)
  return [...faults, ...wrong({ $ref: `${pointer}/requestBody/content/application~1json/schema` }, body, 'body')]
}

/** What of an answer is not as described. */
function checkAnswer(operation, status, body) {
  const described = resolved(operation?.description.responses[status])
  if (described === undefined) {
    if (!GENERAL_STATUS.has(status)) return [`status ${status} is not described`]
    return wrong({ $ref: '#/components/schemas/basic-error' }, body, 'answer')
  }
  const schema = described.content?.['application/json']?.schema
  if (schema === undefined) return body === undefined || status === 422 ? [] : [`status ${status} has no body`]
  return wrong(schema, body, 'answer')
}

const compiled = new Map()

/** A schema's `$ref` begins at the document, wherever the schema stands. */
function wrong(schema, value, where) {
  const key = JSON.stringify(schema)
  if (!compiled.has(key)) compiled.set(key, ajv.compile(JSON.parse(key.replaceAll('"$ref":"#', '"$ref":"github#'))))
  const validate = compiled.get(key)
  if (validate(value)) return []
  return validate.errors.map(({ instancePath, message }) => `${where}${instancePath}: ${message}`)
}

/** A value of a named schema: what is known, and for the rest of what is required the least that is valid. */
function filled(name, known, url) {
  const schema = document.components.schemas[name]
  const rest = schema.required.filter((key) => known[key] === undefined)
  return { ...Object.fromEntries(rest.map((key) => [key, least(schema.properties[key], url)])), ...known }
}

function least(node, url) {
  const schema = resolved(node)
  const types = [schema.type ?? []].flat()
  const either = schema.anyOf ?? schema.oneOf
  if (types.includes('null')) return null
  if (schema.enum) return schema.enum[0]
  if (either) return either.some((one) => one.type === 'null') ? null : least(either[0], url)
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((one) => least(one, url)))
  if (types[0] === 'object') {
    return Object.fromEntries((schema.required ?? []).map((key) => [key, least(schema.properties[key], url)]))
  }
  const plain = { array: [], boolean: false, integer: 0, number: 0 }
  if (types[0] in plain) return plain[types[0]]
  return { uri: url, 'date-time': new Date(0).toISOString(), email: 'octo@example.com' }[schema.format] ?? ''
}

module.exports = { operationOf, checkRequest, checkAnswer, filled, operationIds: operations.map(({ id }) => id) }
