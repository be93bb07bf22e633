// Leases over PostgreSQL under faults; what is done and what must hold says `helpers/lease-fault/test.js`.
'use strict'

require('./helpers/lease-fault/test').faultTest('postgres')
