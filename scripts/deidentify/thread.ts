import { parentPort, workerData } from 'node:worker_threads'
import type { DeidentificationKeys } from '../../apps/imaging/src/deidentify/values.js'
import { deidentifyFile, type FileTask, type Naming } from './file.js'
import { orderFor, type ProfileFile } from './profile.js'

export interface ThreadData {
  profile: ProfileFile
  keys: DeidentificationKeys
  output: string
  naming: Naming
}

const { profile, keys, output, naming } = workerData as ThreadData
const order = orderFor(profile, keys)
parentPort!.on('message', ({ at, task }: { at: number; task: FileTask }) => {
  parentPort!.postMessage({ at, record: deidentifyFile(task, output, order, naming) })
})
