// Crash-safe files, as the package exports them.
'use strict'

module.exports = { ...require('./write'), ...require('./append') }
