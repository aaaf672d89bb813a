import { createHash } from 'node:crypto'
import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, TLSSocket, type TlsOptions } from 'node:tls'
import type { Logger } from 'pino'
import type { HttpConfig } from './config.js'

/** PEM files of a TLS server; with `clientCa` clients are asked for a certificate of that authority (mTLS). */
interface TlsFiles {
  cert: string
  key: string
  clientCa?: string
}

type TlsSettings = Pick<HttpConfig, 'TLS_CERT' | 'TLS_KEY' | 'TLS_CLIENT_CA'>

/** The files that the configuration names, or undefined for plain HTTP. Half a configuration is an error. */
export function tlsFiles({ TLS_CERT, TLS_KEY, TLS_CLIENT_CA }: TlsSettings): TlsFiles | undefined {
  if (TLS_CERT && TLS_KEY)
    return { cert: TLS_CERT, key: TLS_KEY, ...(TLS_CLIENT_CA ? { clientCa: TLS_CLIENT_CA } : {}) }
  if (TLS_CERT || TLS_KEY || TLS_CLIENT_CA)
    throw new Error('TLS needs TLS_CERT and TLS_KEY together; TLS_CLIENT_CA is for use with both')
  return undefined
}

// RFC 9325 4.2: forward secrecy and authenticated encryption only; all of TLS 1.3 has both.
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
].join(':')

/** Reads the files and checks that they belong together; an error names the variable, never what is in it. */
export function tlsOptions({ cert, key, clientCa }: TlsFiles): TlsOptions {
  const material = {
    cert: read('TLS_CERT', cert),
    key: read('TLS_KEY', key),
    ...(clientCa ? { ca: read('TLS_CLIENT_CA', clientCa) } : {}),
  }
  const options: TlsOptions = { ...material, minVersion: 'TLSv1.2', ciphers: CIPHERS, honorCipherOrder: true }
  try {
    createSecureContext(options)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`TLS_CERT and TLS_KEY are not a certificate and its key (${code})`)
  }
  // A wrong certificate is answered with a problem that says so, not with a broken handshake.
  return clientCa ? { ...options, requestCert: true, rejectUnauthorized: false } : options
}

function read(variable: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new Error(`${variable} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

const LOOK_EVERY_MS = 5_000

/**
 * Takes renewed files into use without a restart: on SIGHUP, and within 5 s after one of them changed. Connections
 * that are open stay on the old certificate; files that do not fit together leave it in use. Returns how to stop.
 */
export function reloadTls(server: Server, files: TlsFiles, logger: Logger): () => void {
  const reload = () => {
    try {
      server.setSecureContext(tlsOptions(files))
      logger.info('TLS certificate reloaded')
    } catch (err) {
      logger.error({ err }, 'TLS certificate not reloaded: the old one stays in use')
    }
  }
  const paths = Object.values(files) as string[]
  // By polling: a renewed Kubernetes secret is a link that points elsewhere, which no watch on the file sees.
  for (const path of paths) watchFile(path, { interval: LOOK_EVERY_MS, persistent: false }, reload)
  process.on('SIGHUP', reload)
  return () => {
    for (const path of paths) unwatchFile(path, reload)
    process.off('SIGHUP', reload)
  }
}

/** What a connection's client showed: nothing, a certificate that the authority did not sign, or a good one. */
export type ClientCertificate = { state: 'none' | 'untrusted' } | { state: 'trusted'; thumbprint: string }

const seen = new WeakMap<Socket, ClientCertificate>()

/** The client certificate of a connection; `thumbprint` is the `x5t#S256` of RFC 8705 3.1. */
export function clientCertificate(socket: Socket): ClientCertificate {
  const known = seen.get(socket)
  if (known) return known
  const certificate = inspect(socket)
  seen.set(socket, certificate)
  return certificate
}

function inspect(socket: Socket): ClientCertificate {
  if (!(socket instanceof TLSSocket)) return { state: 'none' }
  const { raw } = socket.getPeerCertificate()
  if (!raw) return { state: 'none' }
  if (!socket.authorized) return { state: 'untrusted' }
  return { state: 'trusted', thumbprint: createHash('sha256').update(raw).digest('base64url') }
}
