// @ts-check
// What a line of the benchmark says, and how it is judged.

/**
 * @typedef {object} Figure
 * @property {string} id
 * @property {string} what
 * @property {number} value
 * @property {string} unit `x` for a ratio.
 * @property {{ most?: number, least?: number }} [bar] None: the line is only for information.
 * @property {string} [detail]
 */

/**
 * A property that has to hold whatever the machine does; judged in the shortened run as well.
 * @typedef {{ id: string, what: string, holds: boolean, detail: string }} Fact
 */

/** @param {Figure} figure @returns {boolean | undefined} Undefined where there is no bar. */
export function passes({ value, bar }) {
  if (!bar) return undefined
  return value <= (bar.most ?? Infinity) && value >= (bar.least ?? -Infinity)
}

/** @param {number} value @param {string} unit */
export function inWords(value, unit) {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  const number = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return unit === 'x' ? `${number} ×` : `${number} ${unit}`
}

/** @param {Figure} figure */
export function barInWords({ bar, unit }) {
  if (!bar) return ''
  return bar.most === undefined ? `≥ ${inWords(Number(bar.least), unit)}` : `≤ ${inWords(bar.most, unit)}`
}
