// A format whose page in docs/formats lists structs: what the page says, what the Rust sources say, and the memory file
// of this process as the page describes it.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const root = path.dirname(path.dirname(__dirname))
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')

/** What is one word of eight bytes. */
const WORDS = ['Field', 'SeqLock', 'AtomicU64']

/**
 * @param {string} page Below docs/formats.
 * @param {string[]} files Below src, without `.rs`.
 */
function structPage(page, files) {
  /** Each documented struct: its fields in order, each with name, offset and size in bytes. */
  const documented = new Map(read(`docs/formats/${page}.md`).split(/^## /m).flatMap((section) => {
    const name = /^`(\w+)`$/m.exec(section)?.[1]
    const rows = [...section.matchAll(/^\| (\d+) \| (\d+) \| `(\w+)` \|/gm)]
    return name ? [[name, rows.map(([, offset, size, field]) => ({ field, offset: Number(offset), size: Number(size) }))]] : []
  }))
  const sources = files.map((file) => read(`src/${file}.rs`)).join('\n')
  const sums = new Map([...sources.matchAll(/^(?:pub )?const (\w+): \w+ =([^;]+);$/gm)].map(([, name, sum]) => [name, sum]))

  /** What a constant is outside of the model checkers. */
  function constant(name) {
    if (/^\d[\d_]*$/.test(name)) return Number(name.replaceAll('_', ''))
    const sum = sums.get(name).replace(/if SMALL \{[^}]*\} else \{([^}]*)\}/g, '($1)').replace(/ as \w+/g, '')
    return Function(`return ${sum.replace(/\b[A-Z]\w*/g, constant)}`)()
  }

  function sizeOf(type) {
    const [, array, length] = /^\[(\w+); (\w+)\]$/.exec(type) ?? []
    const [, words] = /^TextField<(\w+)>$/.exec(type) ?? []
    if (WORDS.includes(type)) return 8
    if (array) return sizeOf(array) * constant(length)
    if (words) return 8 + 8 * constant(words)
    const size = fieldsOf(type).reduce((sum, one) => sum + one.size, 0)
    return sources.includes(`#[repr(C, align(64))]\n#[derive(Debug, Default)]\npub struct ${type} `) ? Math.ceil(size / 64) * 64 : size
  }

  function fieldsOf(struct) {
    const body = new RegExp(`^pub struct ${struct} \\{\\n([^]*?)^\\}`, 'm').exec(sources)[1]
    let offset = 0
    return [...body.matchAll(/^ {4}(?:pub )?(\w+): (.+),$/gm)].map(([, field, type]) => {
      const one = { field, offset, size: sizeOf(type) }
      offset += one.size
      return one
    })
  }

  /** Where a field lies, as the page says. */
  const at = (struct, field) => documented.get(struct).find((one) => one.field === field).offset
  return { documented, fieldsOf, sizeOf, at }
}

/** The memory file of that name of a process: its bytes, and how they are read. @param {string} name @param {number | 'self'} [pid] */
function memoryFile(name, pid = 'self') {
  for (const number of fs.readdirSync(`/proc/${pid}/fd`)) {
    try {
      const link = `/proc/${pid}/fd/${number}`
      if (fs.readlinkSync(link).startsWith(`/memfd:${name}`)) return reading(link, fs.readFileSync(link))
    } catch {
      // A descriptor, such as the one that listed the folder, may be gone by now.
    }
  }
}

function reading(link, bytes) {
  const word = (offset) => bytes.readBigUInt64LE(offset)
  /** A text: its length, and its bytes. */
  const text = (begin) => bytes.toString('utf8', begin + 8, begin + 8 + Number(word(begin)))
  return { link, bytes, word, text }
}

module.exports = { structPage, memoryFile }
