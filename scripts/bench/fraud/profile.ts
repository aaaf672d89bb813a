import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench } from './bench.js'
import { cpuSeconds } from './cpu.js'
import { type CpuProfile, sharesOf } from './shares.js'

const percent = (share: number) => `${(share * 100).toFixed(1)} %`

interface WalRow {
  fsyncs: string
  seconds: number
}

/** Syncs of the write-ahead log so far, and the time they took (pg_stat_io; the times need track_wal_io_timing). */
async function walSyncs(bench: Bench): Promise<WalRow> {
  const [row] = await bench.server.query<WalRow>(
    'postgres',
    `SELECT coalesce(sum(fsyncs), 0)::text AS fsyncs, (coalesce(sum(fsync_time), 0) / 1000)::float8 AS seconds
     FROM pg_stat_io WHERE object = 'wal'`,
  )
  return row!
}

/** Where the time of the 64 connections goes: whose CPU, which part of the service's, and the disk. */
export async function measureProfile(bench: Bench): Promise<void> {
  const { history, connections, seconds } = bench.options
  const folder = mkdtempSync(join(tmpdir(), 'vigil-profile-'))
  const part = 'profile'
  await bench.history('profiled', history)
  await bench.server.query('postgres', 'ALTER DATABASE profiled SET track_wal_io_timing = on')
  try {
    const spawnedAt = performance.now()
    const service = await bench.fraud('profiled', ['--cpu-prof', `--cpu-prof-dir=${folder}`])
    await bench.load(service, connections, history, undefined, 2)
    await bench.settle()
    const wal = await walSyncs(bench)
    const before = {
      database: cpuSeconds(bench.server.pid),
      service: cpuSeconds(service.pid),
      at: performance.now(),
    }
    const measured = await bench.load(service, connections, history)
    const loadedAt = performance.now()
    const wall = (loadedAt - before.at) / 1000
    const database = cpuSeconds(bench.server.pid) - before.database
    const own = cpuSeconds(service.pid) - before.service
    const after = await walSyncs(bench)
    await service.stop()
    const decisions = measured.perSecond * seconds
    const each = (cpu: number) =>
      `${((cpu / decisions) * 1e6).toFixed(0)} us CPU a decision, ${percent(cpu / wall)} of a core`
    bench.add({ part, what: 'the service', value: each(own) })
    bench.add({ part, what: 'PostgreSQL', value: each(database) })
    const syncs = Number(after.fsyncs) - Number(wal.fsyncs)
    const share = (after.seconds - wal.seconds) / wall
    bench.add({
      part,
      what: 'sync of the log',
      value: `${percent(share)} of the time, ${(decisions / syncs).toFixed(1)} decisions each`,
    })
    const [file] = readdirSync(folder)
    const profile = JSON.parse(readFileSync(join(folder, file!), 'utf8')) as CpuProfile
    for (const [what, value] of sharesOf(
      profile,
      (before.at - spawnedAt) / 1000,
      (loadedAt - spawnedAt) / 1000,
    ))
      bench.add({ part, what: `service: ${what}`, value: percent(value) })
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await bench.server.drop('profiled')
  }
}
