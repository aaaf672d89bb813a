import { parentPort, workerData } from 'node:worker_threads'
import type { DeidentificationKeys } from '../../apps/imaging/src/deidentify/values.js'
import { deidentifyFile, type FileTask, type Naming } from './file.js'
import { lookFor, orderFor, type ProfileFile } from './profile.js'

export interface ThreadData {
  profile: ProfileFile
  keys: DeidentificationKeys
  output: string
  naming: Naming
}

const { profile, keys, output, naming } = workerData as ThreadData
const order = orderFor(profile, keys)
const look = lookFor(profile)
// One file after the other: they share a buffer, and looking at pixels takes memory.
let turn: Promise<void> = Promise.resolve()
parentPort!.on('message', ({ at, task }: { at: number; task: FileTask }) => {
  turn = turn.then(async () => {
    parentPort!.postMessage({ at, record: await deidentifyFile(task, output, order, naming, look) })
  })
})
