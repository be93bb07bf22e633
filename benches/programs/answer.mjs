// @ts-check
// Runs one part of the benchmark in this process and answers over the channel to its parent.
const [file, part, effort] = process.argv.slice(2)
const lines = await import(new URL(`../lines/${file}.mjs`, import.meta.url).href)
process.send?.(await lines[part](JSON.parse(effort)))
process.disconnect?.()
