// A JSON schema checker for the few words that the snapshot's schema uses, so that no package is needed for it. A word
// that it does not know is an error: nothing is taken for checked that is not.
'use strict'

const KNOWN = new Set([
  '$schema',
  '$id',
  '$defs',
  '$ref',
  'title',
  'description',
  'type',
  'const',
  'enum',
  'properties',
  'required',
  'additionalProperties',
  'items',
  'prefixItems',
  'minItems',
  'maxItems',
  'minimum',
  'pattern',
  'anyOf',
])

const typeOf = (value) => {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (Number.isInteger(value)) return 'integer'
  return typeof value
}

/** The faults of a value, each with its place; none for a right one. */
function faultsOf(value, schema, root = schema, at = '$') {
  for (const word of Object.keys(schema)) if (!KNOWN.has(word)) throw new Error(`the checker does not know "${word}"`)
  if (schema.$ref) return faultsOf(value, root.$defs[schema.$ref.replace('#/$defs/', '')], root, at)
  if (schema.anyOf) {
    const tries = schema.anyOf.map((one) => faultsOf(value, one, root, at))
    return tries.find((faults) => faults.length === 0) ?? [`${at}: fits none: ${tries.flat().join(' | ')}`]
  }
  const faults = []
  const type = typeOf(value)
  const types = [schema.type ?? []].flat()
  const fits = types.length === 0 || types.includes(type) || (type === 'integer' && types.includes('number'))
  if (!fits) return [`${at}: is ${type}, not ${types.join(' or ')}`]
  if ('const' in schema && value !== schema.const) faults.push(`${at}: is not ${schema.const}`)
  if (schema.enum && !schema.enum.includes(value))
    faults.push(`${at}: ${JSON.stringify(value)} is none of ${schema.enum}`)
  if (schema.pattern && !new RegExp(schema.pattern, 'u').test(value))
    faults.push(`${at}: ${JSON.stringify(value)} is no ${schema.pattern}`)
  if ('minimum' in schema && value < schema.minimum) faults.push(`${at}: ${value} is below ${schema.minimum}`)
  if (type === 'array') return [...faults, ...ofArray(value, schema, root, at)]
  return type === 'object' ? [...faults, ...ofObject(value, schema, root, at)] : faults
}

function ofArray(value, { items, prefixItems = [], minItems = 0, maxItems = Infinity }, root, at) {
  const count = value.length < minItems || value.length > maxItems ? [`${at}: has ${value.length} items`] : []
  const parts = value.map((one, index) => [prefixItems[index] ?? items, one, index])
  return [
    ...count,
    ...parts.flatMap(([schema, one, index]) => (schema ? faultsOf(one, schema, root, `${at}[${index}]`) : [])),
  ]
}

function ofObject(value, { properties = {}, required = [], additionalProperties = true }, root, at) {
  const missing = required.filter((key) => !Object.hasOwn(value, key)).map((key) => `${at}.${key}: is missing`)
  const keys = Object.keys(value)
  const unknown = additionalProperties
    ? []
    : keys.filter((key) => !Object.hasOwn(properties, key)).map((key) => `${at}.${key}: is not in the schema`)
  const known = keys.filter((key) => Object.hasOwn(properties, key))
  return [
    ...missing,
    ...unknown,
    ...known.flatMap((key) => faultsOf(value[key], properties[key], root, `${at}.${key}`)),
  ]
}

module.exports = { faultsOf }
