import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SingleBar } from 'cli-progress'
import { textOf } from '../../apps/imaging/src/deidentify/dicom/element.js'
import { parseInstance } from '../../apps/imaging/src/deidentify/dicom/parse.js'
import type { Kind } from '../simulate/dicom/phantom.js'
import { simulateInstance } from '../simulate/dicom/study.js'
import { SYNTAXES, type Syntax } from '../simulate/dicom/write.js'

const KINDS: readonly Kind[] = ['CR', 'CT', 'MR', 'US', 'US-CINE']
const SYNTHETIC = 20
const REAL = 15
const LARGEST_REAL = 1_000_000
const PATIENCE_MS = 120_000

interface Submission {
  name: string
  bytes: Buffer
  modality: string
  patientId: string
  /** Words of identity that must not be found afterwards. */
  secrets: string[]
  /** Whether a name is burned into the pixels, which must be blacked out. */
  burnedIn: boolean
}

/** What became of the images. */
export interface ImageFigures {
  submitted: number
  completed: number
  quarantined: number
  /** Names burned into pixels: submitted, and blacked out. */
  burnedIn: number
  masked: number
  failed: number
  /** Findings of the model on the radiographs. */
  predictions: Record<string, number>
  /** Pieces of planted identity found in what came out. */
  phiFound: number
  phiPlanted: number
}

const longWords = (text: string): string[] => text.split(/[\s^\\=]+/).filter((word) => word.length >= 6)

function syntheticImages(seed: number): Submission[] {
  const syntaxes = Object.keys(SYNTAXES) as Syntax[]
  return Array.from({ length: SYNTHETIC }, (_, at): Submission => {
    const burnedIn = at % 7 === 6
    const image = simulateInstance({
      seed: seed + at,
      kind: KINDS[at % KINDS.length]!,
      syntax: syntaxes[at % syntaxes.length]!,
      burnedIn,
    })
    const secrets = image.planted
      .filter(({ category }) => category !== 'pixels')
      .flatMap(({ value }) => longWords(value))
    return { name: `synthetic ${at}`, ...image, secrets: [...new Set(secrets)], burnedIn }
  })
}

/** Real files where they lie beside the checkout; what identifies in them is read from their own headers. */
function realImages(): Submission[] {
  const folder = resolve('../shared/data/dicom')
  if (!existsSync(folder)) return []
  const small = readdirSync(folder).filter(
    (name) => name.endsWith('.dcm') && statSync(join(folder, name)).size < LARGEST_REAL,
  )
  const images = small.flatMap((name): Submission[] => {
    const bytes = readFileSync(join(folder, name))
    try {
      const instance = parseInstance(bytes)
      const modality = textOf(instance, 0x00080060)
      const identity = [0x00100010, 0x00100020, 0x00080050]
        .map((tag) => textOf(instance, tag) ?? '')
        .filter((text) => text.length >= 6)
      if (!modality || !/^(CT|MR|CR|NM|PT)$/.test(modality)) return []
      return [
        {
          name,
          bytes,
          modality,
          patientId: textOf(instance, 0x00100020) || 'unknown',
          secrets: identity.flatMap(longWords),
          burnedIn: false,
        },
      ]
    } catch {
      return []
    }
  })
  return images.slice(0, REAL)
}

async function submit(
  url: string,
  token: string,
  { bytes, modality, patientId }: Submission,
): Promise<string | undefined> {
  const form = new FormData()
  form.set('image', new Blob([new Uint8Array(bytes)], { type: 'application/dicom' }), 'image.dcm')
  form.set('patient_id', patientId)
  form.set('physician_id', 'demo-physician')
  form.set('modality', modality)
  const response = await fetch(`${url}/api/v1/images`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: form,
  })
  const body = (await response.json()) as { correlation_id?: string }
  return response.ok ? body.correlation_id : undefined
}

interface Status {
  status: string
  deidentification?: { actions: Record<string, number> }
  result?: { prediction: string | null }
}

async function untilDone(url: string, token: string, id: string): Promise<Status> {
  const limit = Date.now() + PATIENCE_MS
  for (;;) {
    const response = await fetch(`${url}/api/v1/images/${id}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    const status = (await response.json()) as Status
    if (['completed', 'failed', 'quarantined'].includes(status.status) || Date.now() > limit) return status
    await sleep(100)
  }
}

/** How many of the secrets stand in what came out: looked for in the bytes of the whole data set. */
async function secretsLeft(url: string, token: string, id: string, secrets: string[]): Promise<number> {
  const response = await fetch(`${url}/api/v1/images/${id}/deidentified`, {
    headers: { authorization: `Bearer ${token}` },
  })
  if (!response.ok) throw new Error(`The de-identified image answered ${response.status}`)
  const bytes = Buffer.from(await response.arrayBuffer())
  const { dataset } = parseInstance(bytes)
  return secrets.filter(
    (secret) => dataset.includes(Buffer.from(secret, 'utf8')) || bytes.includes(Buffer.from(secret, 'utf8')),
  ).length
}

/** The second half: images in, de-identified, analysed, searched for what identified them. */
export async function demonstrateImages(url: string, token: string): Promise<ImageFigures> {
  const images = [...syntheticImages(7_000), ...realImages()]
  const figures: ImageFigures = {
    submitted: images.length,
    completed: 0,
    quarantined: 0,
    burnedIn: images.filter(({ burnedIn }) => burnedIn).length,
    masked: 0,
    failed: 0,
    predictions: {},
    phiFound: 0,
    phiPlanted: 0,
  }
  const bar = new SingleBar({ format: 'images    {bar} {value}/{total}' })
  bar.start(images.length, 0)
  for (const image of images) {
    const id = await submit(url, token, image)
    const status = id ? await untilDone(url, token, id) : undefined
    if (id && status?.status === 'completed') {
      figures.completed++
      if (image.burnedIn && status.deidentification?.actions['replace-pixels']) figures.masked++
      figures.phiPlanted += image.secrets.length
      figures.phiFound += await secretsLeft(url, token, id, image.secrets)
      const prediction = status.result?.prediction
      if (prediction) figures.predictions[prediction] = (figures.predictions[prediction] ?? 0) + 1
    } else if (status?.status === 'quarantined') figures.quarantined++
    else figures.failed++
    if (image.name.startsWith('synthetic') && status?.status !== 'completed')
      console.error(`\n${image.name} is ${status?.status ?? 'refused'}, not completed`)
    bar.increment()
  }
  bar.stop()
  return figures
}
