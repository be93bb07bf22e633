// What the agents share: a skill library and an episodic memory, in JSON files. A file for each skill, an index
// with the revision and checksum of each, and the list of episodes. None of it knows about locks.
'use strict'

const { createHash } = require('node:crypto')
const fs = require('node:fs/promises')
const path = require('node:path')
const { makeSkills } = require('./skills.js')

const checksum = (skill) => createHash('sha256').update(JSON.stringify(skill)).digest('hex').slice(0, 16)

/** What the index knows of a skill. */
const entryOf = (skill) => ({ area: skill.area, revision: skill.revision, checksum: checksum(skill) })

/** What a reader saw does not fit together. */
class TornRead extends Error {}

class Library {
  #directory

  /** @param {string} directory */
  constructor(directory) {
    this.#directory = directory
  }

  /** Fills the directory. @returns How many skills there are. */
  async create() {
    const skills = makeSkills()
    await fs.mkdir(path.join(this.#directory, 'skills'), { recursive: true })
    for (const skill of skills) await this.#writeSkill(skill)
    const entries = Object.fromEntries(skills.map((skill) => [skill.id, entryOf(skill)]))
    await this.#write('index.json', { version: 0, skills: entries })
    await this.#write('episodes.json', { count: 0, episodes: [] })
    return skills.length
  }

  /** The skills of an area, each compared with the index. */
  async find(area) {
    const index = await this.#read('index.json')
    const ids = Object.keys(index.skills).filter((id) => index.skills[id].area === area)
    const skills = await Promise.all(ids.map((id) => this.#read(`skills/${id}.json`)))
    for (const skill of skills) {
      const { revision, checksum: expected } = index.skills[skill.id]
      if (skill.revision !== revision) throw new TornRead(`${skill.id}: revision ${skill.revision}, not ${revision}`)
      if (checksum(skill) !== expected) throw new TornRead(`${skill.id}: not what the index says`)
    }
    return { version: index.version, skills }
  }

  /** The last episodes, oldest first. */
  async recall(last) {
    const memory = await this.#read('episodes.json')
    const { count, episodes } = memory
    if (count !== episodes.length) throw new TornRead(`${episodes.length} of ${count} episodes`)
    const gap = episodes.findIndex((episode, at) => episode.number !== at + 1)
    if (gap !== -1) throw new TornRead(`episode ${gap + 1} is number ${episodes[gap].number}`)
    return { count, episodes: episodes.slice(-last) }
  }

  /** Skills and memory side by side: each change of the skills left exactly one episode. */
  async survey(area) {
    const [{ version }, { count }] = await Promise.all([this.find(area), this.recall(1)])
    if (version !== count) throw new TornRead(`${count} episodes for ${version} changes`)
  }

  /** An agent has learnt something about an area: all its skills change, and the memory gets an episode. */
  async learn(area, lesson) {
    const files = ['index.json', 'episodes.json'].map((name) => this.#read(name))
    const [{ skills }, index, memory] = await Promise.all([this.find(area), ...files])
    index.version += 1
    for (const skill of skills) {
      const better = { ...skill, revision: index.version, lessons: [...skill.lessons.slice(-4), lesson] }
      await this.#writeSkill(better)
      index.skills[skill.id] = entryOf(better)
    }
    memory.episodes.push({ number: index.version, area, lesson })
    memory.count = memory.episodes.length
    await this.#write('index.json', index)
    await this.#write('episodes.json', memory)
  }

  async #read(name) {
    const text = await fs.readFile(path.join(this.#directory, name), 'utf8')
    try {
      return JSON.parse(text)
    } catch {
      throw new TornRead(`${name}: ${text.length} characters that are no JSON`)
    }
  }

  #writeSkill(skill) {
    return this.#write(`skills/${skill.id}.json`, skill)
  }

  #write(name, value) {
    return fs.writeFile(path.join(this.#directory, name), JSON.stringify(value, null, 2))
  }
}

module.exports = { Library, TornRead }
