import { createHash, randomBytes } from 'node:crypto'

/** A page as somebody without JavaScript meets it. */
export interface Page {
  status: number
  url: string
  headers: Headers
  text: string
}

/** A browser without JavaScript: keeps cookies by path, follows redirects within the site, fills in forms. */
export class Visitor {
  private readonly cookies = new Map<string, { value: string; path: string }>()
  readonly setCookies: string[] = []

  constructor(private readonly site: string) {}

  /** Stops at a redirect that leaves the site: its address is the page's `url`, its status 303. */
  async visit(url: string, form?: Record<string, string>): Promise<Page> {
    let next = new URL(url, this.site)
    let body = form && new URLSearchParams(form)
    for (let hop = 0; hop < 10; hop++) {
      const response = await fetch(next, {
        redirect: 'manual',
        headers: { cookie: this.cookieFor(next.pathname) },
        ...(body ? { method: 'POST', body } : {}),
      })
      this.remember(response)
      const location = response.headers.get('location')
      if (!location || response.status < 300 || response.status >= 400)
        return {
          status: response.status,
          url: next.href,
          headers: response.headers,
          text: await response.text(),
        }
      next = new URL(location, next)
      body = undefined
      if (next.origin !== new URL(this.site).origin)
        return { status: response.status, url: next.href, headers: response.headers, text: '' }
    }
    throw new Error('too many redirects')
  }

  /** Fills in the one form of a page, hidden fields kept, and sends it. */
  submit(page: Page, fields: Record<string, string> = {}): Promise<Page> {
    const action = /<form[^>]* action="([^"]+)"/.exec(page.text)?.[1] ?? page.url
    const hidden = [...page.text.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
    return this.visit(action, {
      ...Object.fromEntries(hidden.map(([, name, value]) => [name!, value!])),
      ...fields,
    })
  }

  private cookieFor(path: string): string {
    return [...this.cookies]
      .filter(([, cookie]) => path.startsWith(cookie.path))
      .map(([name, { value }]) => `${name}=${value}`)
      .join('; ')
  }

  private remember(response: Response): void {
    for (const line of response.headers.getSetCookie()) {
      this.setCookies.push(line)
      const [pair] = line.split(';')
      const [name, value] = [pair!.slice(0, pair!.indexOf('=')), pair!.slice(pair!.indexOf('=') + 1)]
      const path = /;\s*path=([^;]+)/i.exec(line)?.[1] ?? '/'
      if (value === '') this.cookies.delete(name)
      else this.cookies.set(name, { value, path })
    }
  }
}

/** RFC 7636: a fresh verifier and its S256 challenge. */
export function pkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}
