import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { deidentifyFile } from '../../deidentify/file.js'

/** A process that has been at work for a while, as the imaging service is: the last rounds over a folder count. */
const [input, output, rounds] = process.argv.slice(2) as [string, string, string]
const keys = { uid: Buffer.alloc(32, 1), patient: Buffer.alloc(32, 2), date: Buffer.alloc(32, 3) }
const files = readdirSync(input).map((name) => ({ input: join(input, name), name }))
const seconds: number[] = []
for (let round = 0; round < 3 + Number(rounds); round++) {
  const begun = performance.now()
  for (const file of files)
    await deidentifyFile(file, output, { options: [], keys }, { kind: 'keep' }, undefined)
  seconds.push((performance.now() - begun) / 1000)
}
const last = seconds.slice(3).toSorted((a, b) => a - b)
console.log(`${files.length} files in ${last[Math.floor(last.length / 2)]!.toFixed(3)} s`)
