import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Row } from '../report.js'
import { writeExport } from './export-file.js'

interface Measured {
  entries: number
  seconds: number
  cpu: number
  peakMib: number
}

/** Verifies an export of so many entries in a process of its own, whose memory is its own too. */
export async function measureVerifying(entries: number): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-bench-export-'))
  try {
    const path = join(folder, 'export.ndjson')
    const key = writeExport(path, entries)
    const child = join(import.meta.dirname, 'verify-child.js')
    const { stdout } = await promisify(execFile)(process.execPath, [child, path, key])
    const { seconds, cpu, peakMib, entries: verified } = JSON.parse(stdout) as Measured
    if (verified !== entries) throw new Error(`${verified} of ${entries} entries were verified`)
    return {
      entries,
      'file MiB': Math.round(statSync(path).size / 2 ** 20),
      seconds: Math.round(seconds * 10) / 10,
      'CPU s': Math.round(cpu * 10) / 10,
      'peak RSS MiB': Math.round(peakMib),
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
