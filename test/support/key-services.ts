import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { freePort as portOf } from '../../scripts/embedded/port.js'

const children: ChildProcess[] = []

/** Ends what `serve` started. */
export function stopServers(): void {
  for (const child of children.splice(0)) child.kill('SIGKILL')
}

export function isInstalled(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    console.warn(`skipped: ${command} is not in the PATH (CONTRIBUTING.md says how to install it)`)
    return false
  }
}

export const freePort = () => portOf(0)

const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )

/** Starts a server and waits until it answers anything at all. */
export async function serve(command: string, args: string[], url: string, cwd: string): Promise<void> {
  children.push(spawn(command, args, { stdio: 'ignore', cwd }))
  for (const deadline = Date.now() + 20_000; !(await answers(url)); await setTimeout(100))
    if (Date.now() > deadline) throw new Error(`${command} does not answer`)
}

export const hasOpenBao = () => isInstalled('bao', 'version')

/** A real OpenBao server, in memory, with the set-up that docs/keys.md asks for. */
export interface OpenBao {
  address: string
  rootToken: string
  /** An AppRole that may do no more than the services and who rotates need. */
  login: { kind: 'approle'; mount: string; roleId: string; secretIdFile: string }
  call(method: string, path: string, body?: object, namespace?: string): Promise<Record<string, string>>
}

export async function startOpenBao(folder: string): Promise<OpenBao> {
  const rootToken = randomBytes(12).toString('hex')
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  const args = ['server', '-dev', `-dev-root-token-id=${rootToken}`, `-dev-listen-address=127.0.0.1:${port}`]
  await serve('bao', [...args, '-dev-no-store-token'], `${address}/v1/sys/health`, folder)
  const call = async (method: string, path: string, body: object = {}, namespace = '') => {
    const response = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'x-vault-token': rootToken, ...(namespace ? { 'x-vault-namespace': namespace } : {}) },
      ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
    })
    return response.status === 200 ? ((await response.json()) as { data: Record<string, string> }).data : {}
  }
  await call('POST', 'sys/mounts/transit', { type: 'transit' })
  await call('POST', 'transit/keys/vigil', { type: 'aes256-gcm96', derived: true })
  await call('POST', 'transit/keys/vigil-sign', { type: 'ecdsa-p256' })
  const update = [
    'datakey/plaintext/vigil',
    'encrypt/vigil',
    'decrypt/vigil',
    'rewrap/vigil',
    'sign/vigil-sign/*',
  ]
  const read = ['keys/vigil', 'keys/vigil-sign']
  const may = (what: string) => (path: string) => `path "transit/${path}" { capabilities = ["${what}"] }`
  const rules = [...[...update, 'keys/vigil/rotate'].map(may('update')), ...read.map(may('read'))]
  await call('PUT', 'sys/policies/acl/vigil', { policy: rules.join('\n') })
  await call('POST', 'sys/auth/approle', { type: 'approle' })
  await call('POST', 'auth/approle/role/vigil', { token_policies: 'vigil', token_ttl: '1h' })
  const { role_id: roleId } = await call('GET', 'auth/approle/role/vigil/role-id')
  const { secret_id: secretId } = await call('POST', 'auth/approle/role/vigil/secret-id')
  const secretIdFile = join(folder, 'secret-id')
  writeFileSync(secretIdFile, `${secretId}\n`, { mode: 0o600 })
  return {
    address,
    rootToken,
    login: { kind: 'approle', mount: 'approle', roleId: roleId!, secretIdFile },
    call,
  }
}
