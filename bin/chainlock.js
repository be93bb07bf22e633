#!/usr/bin/env node
// The command line; what it does lives in lib/cli/.
require('../lib/cli/main').main(process.argv.slice(2))
