// `chainlock metrics`: the metrics of running processes, as text for Prometheus.
// @ts-check
'use strict'

const { PID_OPTION, wholeNumber } = require('../args')
const { CommandError, EXIT } = require('../exit')

module.exports = {
  summary: 'prints metrics as text for Prometheus',
  usage: '[options]',
  options: { pid: PID_OPTION },
  details: [
    'All processes of this user are counted together. Counters are those of the locks that are known now; a program ' +
      'that is scraped for long should serve metricsHandler() itself.',
  ],
  examples: ['chainlock metrics > /var/lib/node_exporter/chainlock.prom'],
  exits: [EXIT.notFound],
  /** @param {import('../commands').Context} context */
  run({ values, stdout }) {
    const pid = values.pid === undefined ? undefined : wholeNumber('--pid', values.pid, { min: 1 })
    const { snapshot } = require('../../snapshot')
    const { textOfSnapshot } = require('../../prometheus')
    const seen = snapshot(pid === undefined ? { all: true } : { pid, all: true })
    if (seen.processes.length === 0) {
      const [unseen] = seen.unseen
      const which = pid === undefined ? 'no process uses chainlock' : `process ${pid} cannot be looked at`
      throw new CommandError(EXIT.notFound, unseen ? `${which}: ${unseen.advice}` : which, 'chainlock doctor')
    }
    stdout.write(textOfSnapshot(seen))
    return EXIT.ok
  },
}
