import { execFileSync } from 'node:child_process'
import { createCipheriv, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type DataKey,
  decryptFile,
  decryptRange,
  encryptFile,
  type FieldPlace,
  KeyCache,
  LocalKeyring,
  openField,
  sealField,
} from '#libs/crypto'
import { type Blob, BlobStore } from '../../apps/imaging/src/storage/blob-store.js'
import { machine, type Row, report } from './report.js'

const GIB = 2 ** 30
const MIB = 2 ** 20
/** Bytes of a FLOE segment of 64 KiB that are plaintext. */
const SEGMENT = 65_536 - 32

/** Megabytes a second of processor time, and of the clock (others may be at work on this machine too). */
interface Speed {
  cpu: number
  clock: number
  /** How far the resident memory rose above where it began, in MiB. */
  grew: number
}

async function measure(bytes: number, work: (sample: () => void) => Promise<void>): Promise<Speed> {
  const resident = process.memoryUsage.rss()
  let peak = resident
  const sample = () => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  const [before, begun] = [process.cpuUsage(), performance.now()]
  await work(sample)
  const { user, system } = process.cpuUsage(before)
  const clock = bytes / 1e3 / (performance.now() - begun)
  return { cpu: bytes / (user + system), clock, grew: (peak - resident) / MIB }
}

/** What OpenSSL itself does with blocks of a segment's size, in MB/s of processor time; undefined without it. */
function opensslSpeed(): number | undefined {
  try {
    const args = ['speed', '-evp', 'aes-256-gcm', '-seconds', '1', '-bytes', String(SEGMENT)]
    const text = execFileSync('openssl', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    return Number(/([\d.]+)k\s*$/.exec(text)![1]) / 1e3
  } catch {
    return undefined
  }
}

/** Node's own AES-256-GCM over segments, without any format. */
async function bareCipher(bytes: number): Promise<Speed> {
  const [key, segment] = [randomBytes(32), randomBytes(SEGMENT)]
  return measure(bytes, async () => {
    for (let done = 0; done < bytes; done += segment.length) {
      const cipher = createCipheriv('aes-256-gcm', key, randomBytes(12), { authTagLength: 16 })
      cipher.update(segment)
      cipher.final()
      cipher.getAuthTag()
    }
  })
}

/** A stream of `bytes` that costs next to nothing to make. */
async function* source(bytes: number, sample: () => void = () => undefined) {
  const chunk = randomBytes(MIB)
  for (let made = 0; made < bytes; made += chunk.length) {
    sample()
    yield chunk
  }
}

async function drain(stream: AsyncIterable<Uint8Array>, sample: () => void): Promise<number> {
  let size = 0
  let told = 0
  for await (const part of stream) {
    size += part.length
    if (size - told < MIB) continue
    told = size
    sample()
  }
  return size
}

/** Encrypts and decrypts as a stream, nothing on disk. */
async function streams(bytes: number): Promise<[encrypt: Speed, decrypt: Speed]> {
  const [key, aad] = [randomBytes(32), Buffer.from('bench')]
  const encrypt = await measure(bytes, async (sample) => {
    await drain(encryptFile(key, aad, source(bytes)), sample)
  })
  const part = 64 * MIB
  const sealed: Buffer[] = []
  for await (const segment of encryptFile(key, aad, source(part))) sealed.push(segment)
  const decrypt = await measure(bytes, async (sample) => {
    for (let done = 0; done < bytes; done += part)
      await drain(decryptFile(key, aad, sealedParts(sealed)), sample)
  })
  return [encrypt, decrypt]
}

async function* sealedParts(parts: readonly Buffer[]) {
  yield* parts
}

/** The same bytes in clear to disk: what of the way of an image is not ours to make faster. */
async function plainWrite(bytes: number, folder: string): Promise<Speed> {
  const path = join(folder, 'plain')
  return measure(bytes, async (sample) => {
    const file = await open(path, 'w')
    for await (const chunk of source(bytes, sample)) await file.writeFile(chunk)
    await file.sync()
    await file.close()
    await rm(path)
  })
}

/** The whole way of an image: hashed, encrypted, synced to disk, and read back. */
async function files(bytes: number, store: BlobStore) {
  let blob!: Blob
  const write = await measure(bytes, async (sample) => {
    blob = await store.write('default', 'original', source(bytes, sample))
  })
  const read = await measure(bytes, async (sample) => {
    if ((await drain(store.read(blob), sample)) !== bytes) throw new Error('read something else')
  })
  return { blob, write, read }
}

/** Milliseconds to decrypt 512 KiB out of the middle of a file. */
async function rangeRead(folder: string): Promise<number> {
  const [key, aad, path] = [randomBytes(32), Buffer.from('bench'), join(folder, 'ranges')]
  const made = await open(path, 'w')
  for await (const segment of encryptFile(key, aad, source(256 * MIB))) await made.writeFile(segment)
  await made.close()
  const file = await open(path, 'r')
  const sealed = {
    size: (await stat(path)).size,
    read: async (position: number, length: number) => {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, position)
      return buffer.subarray(0, bytesRead)
    },
  }
  const begun = performance.now()
  const ROUNDS = 50
  for (let n = 0; n < ROUNDS; n++) {
    const start = (n * 5 + 1) * MIB
    await drain(decryptRange(key, aad, sealed, { start, end: start + MIB / 2 }), () => undefined)
  }
  await file.close()
  return (performance.now() - begun) / ROUNDS
}

/** Microseconds for one call, over many. */
async function each(count: number, call: () => unknown): Promise<number> {
  const begun = performance.now()
  for (let n = 0; n < count; n++) await call()
  return ((performance.now() - begun) / count) * 1e3
}

const round = (value: number, digits = 0): number => Math.round(value * 10 ** digits) / 10 ** digits

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'vigil-bench-crypto-'))
  const on = machine()
  try {
    const keyring = LocalKeyring.open(join(folder, 'keyring.json'))
    const store = await BlobStore.open(join(folder, 'blobs'), keyring)
    const first = opensslSpeed()
    const bare = await bareCipher(GIB / 4)
    const [encrypt, decrypt] = await streams(GIB)
    const disk = await plainWrite(GIB, folder)
    const { write, read } = await files(GIB, store)
    const openssl = Math.max(first ?? 0, opensslSpeed() ?? 0) || undefined
    const row = (what: string, { cpu, clock, grew }: Speed): Row => ({
      what,
      'MB/s of processor': round(cpu),
      'MB/s by the clock': round(clock),
      'of OpenSSL': openssl ? round(cpu / openssl, 2) : '',
      'memory grew, MiB': round(grew),
    })
    report({
      title:
        'Files of 1 GiB (FLOE, AES-256-GCM, segments of 64 KiB); the goal is 0.15 of OpenSSL: 300 of 2,000 MB/s',
      machine: on,
      rows: [
        ...(openssl
          ? [
              {
                what: 'openssl speed, blocks of 64 KiB',
                'MB/s of processor': round(openssl),
                'of OpenSSL': 1,
              },
            ]
          : []),
        row('node:crypto alone, a cipher for each 64 KiB', bare),
        row('encrypt, a stream', encrypt),
        row('decrypt, a stream', decrypt),
        row('write the same to disk, in clear', disk),
        row('write an image: SHA-256, encrypt, disk', write),
        row('read an image: disk, decrypt', read),
      ],
    })
    const key: DataKey = { id: '01890a5d-ac96-774b-bcce-b302099a8057', key: randomBytes(32) }
    const place: FieldPlace = {
      tenant: 'default',
      table: 'imaging.association',
      column: 'identity',
      row: 'r',
    }
    const sealed = sealField(key, place, randomBytes(200))
    const cache = new KeyCache(keyring)
    const { wrapped } = await cache.generateDataKey('bench')
    report({
      title: 'Fields and keys',
      machine: on,
      rows: [
        {
          what: 'seal a field of 200 bytes (XAES-256-GCM)',
          microseconds: round(await each(20_000, () => sealField(key, place, sealed)), 1),
        },
        { what: 'open it', microseconds: round(await each(20_000, () => openField(key, place, sealed)), 1) },
        {
          what: 'a data key out of the cache',
          microseconds: round(await each(20_000, () => cache.unwrap(wrapped, 'bench')), 1),
        },
        {
          what: 'a data key unwrapped by the keyring',
          microseconds: round(await each(5_000, () => keyring.unwrap(wrapped, 'bench')), 1),
        },
        {
          what: '512 KiB out of the middle of 256 MiB',
          microseconds: round((await rangeRead(folder)) * 1e3),
        },
      ],
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

await main()
