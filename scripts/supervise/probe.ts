import { request as overHttp } from 'node:http'
import { request as overHttps } from 'node:https'

const TIMEOUT_MS = 5_000

/**
 * Whether `url` answers 2xx. Over TLS any certificate will do, as for a kubelet: a probe sends nothing and believes
 * nothing, and the name in the certificate is seldom the address that a supervisor uses.
 */
export function answers(url: string): Promise<boolean> {
  const request = url.startsWith('https:') ? overHttps : overHttp
  return new Promise((resolve) => {
    const options = { timeout: TIMEOUT_MS, rejectUnauthorized: false, agent: false }
    const probe = request(url, options, (response) => {
      const { statusCode = 500 } = response.resume()
      resolve(statusCode >= 200 && statusCode < 300)
    })
    probe.on('timeout', () => probe.destroy())
    probe.on('error', () => resolve(false))
    probe.end()
  })
}
