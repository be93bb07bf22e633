// Real servers for the tests of leases: on 127.0.0.1, on free ports, with data that goes with them.
//
//   const redis = await startRedis({ aof: true })
//   after(() => redis.stop())
//   redis.url; await redis.kill(); await redis.restart(); redis.pause(); redis.resume()
'use strict'

const { available, engineTest, whyNot } = require('./find')
const { startEtcd } = require('./etcd')
const { startPostgres } = require('./postgres')
const { startRedis } = require('./redis')

const START = { redis: startRedis, postgres: startPostgres, etcd: startEtcd }

/** Starts an engine by its name. @param {keyof typeof START} engine @param {object} [options] */
const startServer = (engine, options) => START[engine](options)

module.exports = { available, engineTest, whyNot, startServer, startRedis, startPostgres, startEtcd }
