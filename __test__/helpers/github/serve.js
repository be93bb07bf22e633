// The tests' GitHub as a process of its own:
//
//   node __test__/helpers/github/serve.js [--port 0] [--options '{"ghes":true}']
//
// prints one line of JSON, { url, apiUrl, graphqlUrl, repo, token, login }, and serves until SIGTERM, or until its
// standard input ends when that is a pipe. Beside GitHub's interfaces it has its own:
//
//   POST /_test/faults      { next: [{ kind, matcher, ms, seconds, times }], rate, seed, clear, offsetMs }, each optional
//   GET  /_test/log         the requests so far       GET /_test/violations   what did not match GitHub's descriptions
//   POST /_test/git         { args: [...] }: what git prints in the repository
//   GET  /_test/idle        answers when nothing that was asked is still to be done
'use strict'

const fs = require('node:fs')
const { parseArgs } = require('node:util')
const { startGitHub } = require('./index')

main()

async function main() {
  const options = { port: { type: 'string', default: '0' }, options: { type: 'string', default: '{}' } }
  const { values } = parseArgs({ options })
  const github = await startGitHub({ ...JSON.parse(values.options), port: Number(values.port) })
  const controls = controlsOf(github)
  github.server.control = (message, text, response) => control(controls, message, text, response)
  process.on('SIGTERM', () => end(github))
  process.on('SIGINT', () => end(github))
  const input = fs.fstatSync(0)
  if (input.isFIFO() || input.isSocket()) process.stdin.resume().on('end', () => end(github))
  const { url, apiUrl, graphqlUrl, repo, token, login } = github
  console.log(JSON.stringify({ url, apiUrl, graphqlUrl, repo, token, login }))
}

function controlsOf({ faults, clock, log, violations, git, idle }) {
  return {
    'POST /_test/faults'({ next = [], rate, seed, clear, offsetMs }) {
      if (clear) faults.clear()
      if (seed !== undefined) faults.seed = seed
      if (rate !== undefined) faults.rate = rate
      if (offsetMs !== undefined) clock.offsetMs = offsetMs
      for (const { kind, matcher, ...how } of next) faults.next(kind, matcher, how)
      return { waiting: faults.waiting }
    },
    'GET /_test/log': () => log,
    'GET /_test/violations': () => violations,
    'GET /_test/idle': () => idle(),
    'POST /_test/git': async ({ args }) => ({ stdout: await git(...args) }),
  }
}

/** Answers what is not GitHub's, and says whether it was. */
function control(controls, message, text, response) {
  const handler = controls[`${message.method} ${message.url}`]
  if (handler === undefined) return false
  const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  // Not waited for by the server: to be idle is one of the questions.
  Promise.resolve()
    .then(() => handler(text === '' ? {} : JSON.parse(text)))
    .then((body = {}) => answer(200, body))
    .catch((error) => answer(400, { message: error.message }))
  return true
}

async function end(github) {
  await github.stop()
  process.exit(0)
}
