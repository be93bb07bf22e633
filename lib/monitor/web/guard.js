// Who may ask the page's server, and what. A page of another site, another name for this machine, a frame or a
// guess gets nothing: each rule is a line here, in the order in which they are asked.
// @ts-check
'use strict'

const { createHash, randomBytes, timingSafeEqual } = require('node:crypto')

/** @typedef {import('node:http').IncomingMessage} Request */

const TOKEN_BYTES = 32
const LOOPBACK = ['127.0.0.1', '::1']
/** Under which names a browser of this machine comes. */
const HOSTS = ['127.0.0.1', '[::1]', 'localhost']

/** 256 bits that nobody guesses. */
function newToken() {
  return randomBytes(TOKEN_BYTES).toString('base64url')
}

function newNonce() {
  return randomBytes(16).toString('base64')
}

/** Answers in a time that tells nothing of where they differ. @param {string} given @param {string} token */
function isToken(given, token) {
  const digest = (/** @type {string} */ text) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(token))
}

/**
 * @param {Request} request
 * @param {number} port
 * @returns {number} 200, or the status with which to refuse.
 */
function admit(request, port) {
  const { headers, method, socket } = request
  if (method !== 'GET' && method !== 'HEAD') return 405
  if (!LOOPBACK.includes((socket.remoteAddress ?? '').replace('::ffff:', ''))) return 403
  // A name that another site made point here (DNS rebinding) comes as the Host.
  const hosts = HOSTS.map((host) => `${host}:${port}`)
  if (!hosts.includes((headers.host ?? '').toLowerCase())) return 421
  const { origin } = headers
  if (origin !== undefined && !hosts.some((host) => origin === `http://${host}`)) return 403
  // Browsers say where a request comes from; what is no browser says nothing and needs the token alone.
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 403
  const target = headers['sec-fetch-dest']
  if (target !== undefined && target !== 'document' && target !== 'empty') return 403
  return 200
}

/** @param {Request} request @param {string} token */
function hasToken({ headers }, token) {
  const given = /^Bearer ([\w-]{1,128})$/.exec(headers.authorization ?? '')
  return given !== null && isToken(/** @type {string} */ (given[1]), token)
}

/** What every answer carries. @param {string | null} nonce Of the page's own style and script. */
function headersOf(nonce) {
  const own =
    nonce === null
      ? []
      : [`style-src 'nonce-${nonce}'`, `script-src 'nonce-${nonce}'`, "connect-src 'self'", 'img-src data:']
  return {
    'Content-Security-Policy': [
      "default-src 'none'",
      ...own,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; '),
    'Cache-Control': 'no-store',
    'Cross-Origin-Embedder-Policy': 'require-corp',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
  }
}

module.exports = { LOOPBACK, admit, hasToken, headersOf, newNonce, newToken }
