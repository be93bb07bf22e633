// @ts-check
// Loads one module in a fresh process and says how many nanoseconds that took.
'use strict'

const path = process.argv[2]
const start = process.hrtime.bigint()
require(path)
process.stdout.write(String(process.hrtime.bigint() - start))
