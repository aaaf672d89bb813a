import {
  createPrivateKey,
  createPublicKey,
  createSign,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { encryptFile, keySettings, lazyUnwrap, openProvider } from '#libs/crypto'
import {
  filesOf,
  hashFiles,
  keyHint,
  SEALED,
  SEALED_KEY,
  SIGNATURE,
  sealedContext,
  signStatement,
  statementOf,
  trustedKeys,
  verifyModel,
} from '#libs/inference'
import { readConfig } from '#libs/platform'

const USAGE = `npm run models -- COMMAND

  keygen NAME.pem              makes a P-256 key: NAME.pem (private, keep it apart) and NAME.pub (to be trusted)
  sign DIR --key NAME.pem      signs a model folder (OpenSSF Model Signing v1.0) into DIR/${SIGNATURE}
  sign DIR --kms               the same with the key of the configured key provider (KMS=local|vault|aws)
  verify DIR [--keys DIR]      checks signature and files against the public keys of a folder (models/keys)
  encrypt DIR OUT [--keys DIR] verifies a model and writes it to OUT with its .onnx files encrypted (FLOE); the
                               signature stays good, for it is over the content
  pubkey                      prints the public key of the configured key provider`

const OPTIONS = {
  key: { type: 'string' },
  keys: { type: 'string', default: 'models/keys' },
  kms: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const KeysConfig = z.object({ ...keySettings, DATA_DIR: z.string().default('.data') })
const settings = readConfig(KeysConfig, process.env)
const provider = () => openProvider(settings)

interface Signer {
  sign(message: Uint8Array): Promise<Uint8Array>
  verificationKey(): Promise<KeyObject>
}

async function signerFrom(path: string): Promise<Signer> {
  const key = createPrivateKey(await readFile(path))
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error(`${path} is no P-256 key`)
  return {
    sign: async (message) => createSign('sha256').update(message).sign(key),
    verificationKey: async () => createPublicKey(key),
  }
}

async function sign(folder: string, signer: Signer): Promise<void> {
  const { manifest, name } = { manifest: await hashFiles(folder), name: modelName(folder) }
  await writeFile(
    join(folder, SIGNATURE),
    await signStatement(statementOf(name, manifest, [SIGNATURE]), signer),
  )
  for (const [file, digest] of manifest) console.log(`${digest}  ${file}`)
  console.log(`signed ${name} with ${keyHint(await signer.verificationKey())}`)
}

/** `fraud-gbdt/v1`: the folder with the one above it. */
const modelName = (folder: string): string =>
  `${basename(dirname(resolve(folder)))}/${basename(resolve(folder))}`

async function keygen(path: string): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
  await writeFile(path, pem, { mode: 0o600, flag: 'wx' })
  await writeFile(path.replace(/\.pem$/, '.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  console.log(`made ${keyHint(publicKey)}`)
}

async function verify(folder: string, keys: string): Promise<void> {
  const trusted = await trustedKeys(keys)
  const { signer, manifest } = await verifyModel(folder, { keys: trusted, provider: lazyUnwrap(settings) })
  console.log(`${modelName(folder)}: ${manifest.size} files as signed by ${signer}`)
}

async function encrypt(folder: string, out: string, keys: string): Promise<void> {
  await verifyModel(folder, { keys: await trustedKeys(keys) })
  const holder = await provider()
  for (const file of [...(await filesOf(folder)), SIGNATURE]) {
    await mkdir(dirname(join(out, file)), { recursive: true })
    if (!file.endsWith('.onnx')) {
      await copyFile(join(folder, file), join(out, file))
      continue
    }
    const context = sealedContext(file)
    const { plaintext: key, wrapped } = await holder.generateDataKey(context)
    const bytes = await readFile(join(folder, file))
    async function* whole() {
      yield bytes
    }
    await writeFile(join(out, `${file}${SEALED}`), encryptFile(key, Buffer.from(context), whole()))
    await writeFile(join(out, `${file}${SEALED_KEY}`), `${wrapped.toString('base64')}\n`)
    console.log(`encrypted ${file}`)
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true })
  const [command, first, second] = positionals
  if (command === 'keygen' && first?.endsWith('.pem')) return keygen(first)
  if (command === 'sign' && first && values.kms) return sign(first, await provider())
  if (command === 'sign' && first && values.key) return sign(first, await signerFrom(values.key))
  if (command === 'verify' && first) return verify(first, values.keys)
  if (command === 'encrypt' && first && second) return encrypt(first, second, values.keys)
  if (command === 'pubkey') {
    const key = await (await provider()).verificationKey()
    return console.log(key.export({ type: 'spki', format: 'pem' }).toString().trimEnd())
  }
  console.log(USAGE)
  if (!values.help) process.exitCode = 1
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
