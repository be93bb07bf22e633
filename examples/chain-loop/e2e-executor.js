// Layer 1 as a process of its own; see executor.js.
'use strict'

const { runExecutor } = require('./executor.js')
const { data, lock, standStill, tell, terminal } = require('./seat.js')

const { tasks, previous, directory } = data
runExecutor({ lock, terminal, tasks, previous, directory, signal: undefined, tell, standStill })
