import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Whether certificates can be made here; tests that need them skip where OpenSSL's command is missing. */
export const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/** A certificate with its key, as PEM files. */
export interface Certificate {
  cert: string
  key: string
  /** `x5t#S256` (RFC 8705 3.1), computed here from the DER form. */
  thumbprint: string
}

/** An authority of the test's own, in a folder of its own. */
export interface Authority extends Certificate {
  issue(name: string): Certificate
  remove(): void
}

const thumbprintOf = (path: string): string =>
  createHash('sha256')
    .update(new X509Certificate(readFileSync(path)).raw)
    .digest('base64url')

/** Makes an authority and, with it, certificates for 127.0.0.1 and localhost that serve and identify. */
export function createAuthority(name = 'Test authority'): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-certificates-'))
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
  const paths = (file: string) => ({ cert: join(folder, `${file}.pem`), key: join(folder, `${file}.key`) })
  const fresh = (key: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    key,
  ]
  const own = paths('authority')
  openssl('req', '-x509', ...fresh(own.key), '-out', own.cert, '-subj', `/CN=${name}`, '-days', '2')
  const extensions = join(folder, 'extensions')
  writeFileSync(
    extensions,
    'subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n',
  )
  let count = 0
  return {
    ...own,
    thumbprint: thumbprintOf(own.cert),
    issue: (subject) => {
      const { cert, key } = paths(`issued-${++count}`)
      const request = `${cert}.request`
      openssl('req', ...fresh(key), '-out', request, '-subj', `/CN=${subject}`)
      const signing = [
        '-CA',
        own.cert,
        '-CAkey',
        own.key,
        '-CAcreateserial',
        '-days',
        '2',
        '-extfile',
        extensions,
      ]
      openssl('x509', '-req', '-in', request, ...signing, '-out', cert)
      return { cert, key, thumbprint: thumbprintOf(cert) }
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
