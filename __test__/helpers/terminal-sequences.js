// Sequences that do something to a terminal or to a reader: each alone is harmful in a name.
'use strict'

const ESC = '\u001b'
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const eachChar = (codes) => codes.map((code) => String.fromCodePoint(code))

const csi = [
  '2J', '3J', 'J', 'K', '1K', '2K', 'H', '1;1H', '9999;9999H', 'A', 'B', 'C', 'D', '5A', '10G', 's', 'u', '0m', '31m', '1;5;7m',
  '38;5;196m', '48;2;255;0;0m', '8m', '?25l', '?25h', '?47h', '?1049h', '?1049l', '?1000h', '?1002h', '?1006h', '?2004h',
  '6n', '5n', 'c', '>c', '21t', '14t', '18t', '8;1;1t', '3;0;0t', '2;5r', '4h', '20h', '!p', '"q', '1 q', '5 q', 'L', 'M', 'P',
  '@', 'X', 'S', 'T', 'Z', 'I', 'b', 'd', 'f', 'g', 'i', '5i', '4i', '?5h', '?7l', '?3h',
]
const osc = [
  '0;FAKE: all locks healthy', '1;icon', '2;title', '4;1;rgb:ff/00/00', '7;file:///tmp', '8;;http://evil.test', '8;;',
  '9;notification', '10;?', '11;?', '12;?', '52;c;ZWNobyBoaQ==', '52;c;?', '52;p;', '104', '110', '112', '133;A', '133;B',
  '777;notify;a;b', '1337;File=:AA==', '1337;SetMark', '50;#1', '5522;type=read',
]
const escapes = ['c', '7', '8', 'D', 'E', 'H', 'M', 'N', 'O', 'Z', '=', '>', '(0', '(B', ')0', '#8', '%G', '%@', '\\', '^x', '_x', 'Pq', 'P$q', 'X', 'k', ' F']

const SEQUENCES = Object.freeze([
  ...csi.map((text) => `${ESC}[${text}`),
  ...osc.map((text) => `${ESC}]${text}\u0007`),
  ...escapes.map((text) => `${ESC}${text}`),
  ...csi.slice(0, 12).map((text) => `\u009b${text}`),
  '\u009d0;title\u009c', '\u0090q\u009c', '\u009e\u009c', '\u009f\u009c', '\u0098\u009c',
  ...eachChar(range(0x00, 0x1f)),
  ...eachChar(range(0x7f, 0x9f)),
  ...eachChar(range(0x200b, 0x200f)),
  ...eachChar(range(0x2028, 0x202e)),
  ...eachChar(range(0x2060, 0x2064)),
  ...eachChar(range(0x2066, 0x2069)),
  ...eachChar([0xad, 0x61c, 0x180e, 0xfeff, 0xfff9, 0xfffa, 0xfffb, 0xe0001, 0xe0041, 0xe007f]),
  'released\r\n[2026-01-01T00:00:00.000Z] [SHARED_LOCK] [INFO] forged',
  'ok\b\b\b\bBAD', 'ok\rBAD', '\u202egnp.exe', 'a\u2066b\u2069', '\ud800', '\udc00', '\udfff\ud800', 'x\u001b', '\t', '\n\n',
].filter((text, index, all) => all.indexOf(text) === index))

/** C0, DEL and C1, bidi, zero-width and invisible characters, separators, annotation, tags, BOM, lone surrogates. */
const HARMFUL =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|[\ud800-\udfff](?<![\ud800-\udbff][\udc00-\udfff])(?![\udc00-\udfff])/u

module.exports = { SEQUENCES, HARMFUL }
