// The keyboard: bytes of a terminal into names of keys, and keys into what the view shows next.
// @ts-check
'use strict'

/** @typedef {import('./types').ViewState} ViewState */
/** @typedef {import('./types').Mode} Mode */

/** @type {import('./types').Sort[]} */
const SORTS = ['urgency', 'wait-total', 'wait-max', 'contended', 'hold', 'name']

/** @type {Record<string, string>} */
const SEQUENCES = {
  '[A': 'up',
  '[B': 'down',
  '[C': 'right',
  '[D': 'left',
  OA: 'up',
  OB: 'down',
  '[H': 'home',
  '[F': 'end',
  OH: 'home',
  OF: 'end',
  '[1~': 'home',
  '[4~': 'end',
  '[5~': 'page-up',
  '[6~': 'page-down',
}
/** @type {Record<string, string>} */
const CONTROLS = {
  '\u0003': 'ctrl-c',
  '\u0004': 'ctrl-d',
  '\u000c': 'ctrl-l',
  '\u001a': 'ctrl-z',
  '\r': 'enter',
  '\n': 'enter',
  '\u007f': 'backspace',
  '\b': 'backspace',
  '\t': 'tab',
  '\u001b': 'escape',
}

/**
 * @param {string} text What one read of the terminal brought.
 * @returns {string[]} Names of keys; a printable character is its own name.
 */
function keysOf(text) {
  const keys = []
  for (let rest = text; rest !== '';) {
    const sequence = /^\u001b(\[[0-9;?]*[ -/]*[@-~]|O[A-Za-z])/.exec(rest)
    if (sequence) {
      const name = SEQUENCES[/** @type {string} */ (sequence[1])]
      if (name !== undefined) keys.push(name)
      rest = rest.slice(sequence[0].length)
      continue
    }
    const character = String.fromCodePoint(/** @type {number} */ (rest.codePointAt(0)))
    rest = rest.slice(character.length)
    const control = CONTROLS[character]
    if (control !== undefined) keys.push(control)
    else if (!/\p{C}/u.test(character)) keys.push(character)
  }
  return keys
}

/** @returns {ViewState} */
function firstState() {
  return {
    mode: 'main',
    selectedId: null,
    filter: '',
    typing: false,
    sort: 'urgency',
    paused: false,
    scroll: 0,
    note: '',
  }
}

/** @type {Record<string, Mode>} */
const MODES = { enter: 'why', t: 'timeline', e: 'events', h: 'health', '?': 'help' }
/** @type {Record<string, number>} */
const STEPS = { up: -1, k: -1, down: 1, j: 1, 'page-up': -10, 'page-down': 10, home: -Infinity, end: Infinity }

/**
 * @param {ViewState} state
 * @param {string} key
 * @param {readonly string[]} ids The locks in the order in which they are shown.
 * @returns {ViewState | 'quit' | 'suspend' | 'redraw' | 'web'} The next state, or what the loop has to do.
 */
function press(state, key, ids) {
  if (key === 'ctrl-c') return 'quit'
  if (key === 'ctrl-z') return 'suspend'
  if (key === 'ctrl-l') return 'redraw'
  if (state.typing) return typed(state, key)
  if (key === 'q' || key === 'ctrl-d') return 'quit'
  if (key === 'w') return 'web'
  if (key === 'p') return { ...state, paused: !state.paused }
  if (key === '/') return { ...state, mode: 'main', typing: true, filter: '', note: '' }
  if (key === 's') {
    const sort = SORTS[(SORTS.indexOf(state.sort) + 1) % SORTS.length] ?? 'urgency'
    return { ...state, sort, note: `sorted by ${sort}` }
  }
  if (key === 'escape' || key === 'backspace') {
    return state.mode === 'main' ? { ...state, filter: '', note: '' } : { ...state, mode: 'main', scroll: 0, note: '' }
  }
  const mode = MODES[key]
  if (mode !== undefined) return { ...state, mode: state.mode === mode ? 'main' : mode, scroll: 0, note: '' }
  const step = STEPS[key]
  return step === undefined ? state : moved(state, step, ids)
}

/** @param {ViewState} state @param {string} key @returns {ViewState} */
function typed(state, key) {
  if (key === 'enter') return { ...state, typing: false }
  if (key === 'escape') return { ...state, typing: false, filter: '' }
  if (key === 'backspace') return { ...state, filter: Array.from(state.filter).slice(0, -1).join('') }
  const isText = Array.from(key).length === 1 && state.filter.length < 64
  return isText ? { ...state, filter: state.filter + key } : state
}

/** @param {ViewState} state @param {number} step @param {readonly string[]} ids @returns {ViewState} */
function moved(state, step, ids) {
  if (state.mode !== 'main')
    return { ...state, scroll: step === -Infinity ? 0 : Math.max(0, state.scroll + Math.min(step, 1e6)) }
  if (ids.length === 0) return state
  const now = state.selectedId === null ? 0 : Math.max(0, ids.indexOf(state.selectedId))
  const next = Math.max(0, Math.min(ids.length - 1, now + step))
  return { ...state, selectedId: ids[next] ?? null }
}

module.exports = { keysOf, press, firstState, SORTS }
