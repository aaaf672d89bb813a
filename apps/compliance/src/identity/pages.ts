import { createHash } from 'node:crypto'

/** Server-rendered pages: no script at all, one style whose hash the policy names, every value escaped. */
const STYLE = `
:root{color-scheme:light dark;--ink:#16202b;--soft:#51606f;--paper:#fff;--ground:#eef2f5;--line:#c6d0d9;--accent:#0b5c8a;--on-accent:#fff;--alert:#8f1d1d;--alert-ground:#fdecec}
@media (prefers-color-scheme:dark){:root{--ink:#e8eef3;--soft:#a9b7c4;--paper:#18222c;--ground:#0f161d;--line:#3a4855;--accent:#5bb4e5;--on-accent:#06202f;--alert:#ffb3b3;--alert-ground:#3b1717}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1rem;background:var(--ground);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{width:100%;max-width:26rem;background:var(--paper);border:1px solid var(--line);border-radius:.75rem;padding:2rem}
.brand{margin:0 0 1.25rem;font-weight:700;letter-spacing:.14em;text-transform:uppercase;font-size:.8rem;color:var(--accent)}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25}
p{margin:.5rem 0}
.soft{color:var(--soft)}
label{display:block;margin:1rem 0 .25rem;font-weight:600}
input:not([type=checkbox]){width:100%;padding:.65rem .75rem;font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:.4rem}
input:focus-visible,button:focus-visible,a:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.check{display:flex;gap:.6rem;align-items:baseline;font-weight:400}
.code{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;letter-spacing:.06em}
code,.codes{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;overflow-wrap:anywhere}
.codes{columns:2;list-style:none;padding:1rem;margin:1rem 0;border:1px dashed var(--line);border-radius:.4rem}
button{margin-top:1.5rem;width:100%;padding:.75rem;font:inherit;font-weight:600;color:var(--on-accent);background:var(--accent);border:0;border-radius:.4rem;cursor:pointer}
button.quiet{margin-top:.75rem;color:var(--ink);background:transparent;border:1px solid var(--line)}
.alert{margin:1rem 0;padding:.75rem 1rem;border-left:4px solid var(--alert);background:var(--alert-ground);color:var(--alert);border-radius:.25rem}
dl{margin:1rem 0}dt{font-weight:600}dd{margin:0 0 .75rem;color:var(--soft)}
`

const styleHash = createHash('sha256').update(STYLE).digest('base64')

/**
 * Content-Security-Policy of a page. `formTargets`: other origins that a submitted form may lead to by redirect
 * (browsers apply `form-action` to those too).
 */
export const pagePolicy = (formTargets: readonly string[] = []): string =>
  [
    "default-src 'none'",
    `style-src 'sha256-${styleHash}'`,
    `form-action ${["'self'", ...formTargets].join(' ')}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join('; ')

const html = (text: string): string =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

const page = (title: string, content: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${html(title)} - Vigil</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<p class="brand">Vigil</p>
<h1>${html(title)}</h1>
${content}
</main>
</body>
</html>
`

interface FormPage {
  /** Signed proof that the form came from us (CSRF). */
  csrf: string
  /** The last try did not work. */
  refused?: boolean
}

const form = (csrf: string, fields: string): string =>
  `<form method="post" autocomplete="on"><input type="hidden" name="csrf" value="${html(csrf)}">${fields}</form>`

const alert = (refused: boolean | undefined, text: string): string =>
  refused ? `<p class="alert" role="alert" id="problem">${html(text)}</p>` : ''

const described = (refused: boolean | undefined) =>
  refused ? ' aria-describedby="problem" aria-invalid="true"' : ''

export const passwordPage = ({
  csrf,
  refused,
  email = '',
  application,
  enrolment,
}: FormPage & { email?: string; application: string; enrolment: 'offered' | 'required' }): string =>
  page(
    'Sign in',
    `<p class="soft">to continue to ${html(application)}</p>
${alert(refused, 'That did not work. Check your e-mail address and password. After several failed tries, wait a few minutes.')}
${form(
  csrf,
  `<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required maxlength="254" value="${html(email)}"${described(refused)}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required maxlength="128"${described(refused)}>
${
  enrolment === 'offered'
    ? `<label class="check"><input type="checkbox" name="enrol" value="yes"> Set up a second factor, if I have none yet</label>`
    : ''
}
<button type="submit">Sign in</button>`,
)}`,
  )

const codeField = (refused: boolean | undefined, label: string) => `<label for="code">${label}</label>
<input id="code" name="code" class="code" inputmode="text" autocomplete="one-time-code" required maxlength="32" autofocus${described(refused)}>`

export const codePage = ({ csrf, refused }: FormPage): string =>
  page(
    'Second factor',
    `<p class="soft">Enter the code that your authenticator app shows. If you have lost it, enter one of your recovery codes.</p>
${alert(refused, 'That did not work. Each code works once; wait for the next one and try again.')}
${form(csrf, `${codeField(refused, 'Code')}<button type="submit">Continue</button>`)}`,
  )

export const enrolPage = ({
  csrf,
  refused,
  secret,
  uri,
}: FormPage & { secret: string; uri: string }): string =>
  page(
    'Set up a second factor',
    `<p>Add this account to your authenticator app, then enter the code that it shows.</p>
<dl><dt>Key to type in</dt><dd><code id="secret">${html(secret.replaceAll(/(.{4})(?=.)/g, '$1 '))}</code></dd>
<dt>Or open on the device that has the app</dt><dd><a id="uri" href="${html(uri)}">Add to the authenticator app</a></dd></dl>
${alert(refused, 'That code is not right. Check that the clock of your device is, and try the next code.')}
${form(csrf, `${codeField(refused, 'Code from the app')}<button type="submit">Finish</button>`)}`,
  )

export const recoveryPage = ({ csrf, codes }: FormPage & { codes: readonly string[] }): string =>
  page(
    'Recovery codes',
    `<p>Each of these lets you in once if you lose your app. They are shown <strong>only now</strong>: print them or write them down.</p>
${
  codes.length > 0
    ? `<ul class="codes">${codes.map((code) => `<li>${html(code)}</li>`).join('')}</ul>`
    : '<p class="alert">They were shown before this page was loaded again. If you did not keep them, ask for a reset of your second factor.</p>'
}
${form(csrf, '<button type="submit">I have kept them: continue</button>')}`,
  )

const SCOPE_TEXTS: Record<string, string> = {
  openid: 'know that it is you',
  profile: 'see your name and roles',
  email: 'see your e-mail address',
  'ai:inference': 'submit payments or images and get decisions',
  'data:read': 'read decisions and results',
  'fraud:review': 'review payments in your name',
  'audit:read': 'read the audit trail',
  'phi:reidentify': 'see which patient a result belongs to',
  'phi:break-glass': 'learn in an emergency which patient an image is of',
  'phi:erase': 'ask for the erasure of patients',
  'approvals:decide': 'approve what takes two persons',
  'models:write': 'change models',
  'policy:write': 'change policies',
  'keys:rotate': 'change keys',
}

export const consentPage = ({
  csrf,
  application,
  scopes,
}: FormPage & { application: string; scopes: readonly string[] }): string =>
  page(
    `Let ${application} act for you?`,
    `<p>It asks to:</p><ul>${scopes
      .map(
        (scope) => `<li>${html(SCOPE_TEXTS[scope] ?? scope)} <span class="soft">(${html(scope)})</span></li>`,
      )
      .join('')}</ul>
${form(
  csrf,
  '<button type="submit" name="answer" value="allow">Allow</button><button type="submit" class="quiet" name="answer" value="deny">Deny</button>',
)}`,
  )

/** `form` comes from the provider, with its own protection and the id that the buttons name. */
export const logoutPage = (form: string): string =>
  page(
    'Sign out?',
    `${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Sign out</button>
<button type="submit" form="op.logoutForm" class="quiet">Stay signed in</button>`,
  )

/** `form` posts itself where scripts run; here somebody presses the button. */
const continuePage = (action: string, inputs: string): string =>
  page(
    'One more step',
    `<form method="post" action="${action}">${inputs}<button type="submit" autofocus>Continue</button></form>`,
  )

const SELF_POSTING = /<form method="post" action="([^"]*)">([\s\S]*?)<noscript>/

/** A page of the provider that posts a form by script, as one of ours without any; the action is escaped already. */
export function withoutScript(html: string): { content: string; target?: string } {
  const [, action, inputs] = html.includes('<script') ? (SELF_POSTING.exec(html) ?? []) : []
  if (action === undefined || inputs === undefined) return { content: html }
  const plain = action.replaceAll('&amp;', '&')
  return {
    content: continuePage(action, inputs),
    ...(URL.canParse(plain) ? { target: new URL(plain).origin } : {}),
  }
}

export const loggedOutPage = (): string => page('Signed out', '<p>You can close this page.</p>')

export const expiredPage = (): string =>
  page('This page has expired', '<p>Go back to the application and sign in again.</p>')

export const providerErrorPage = (error: string, description = ''): string =>
  page(
    'That is not possible',
    `<p>The application that sent you here asked for something that cannot be done. Tell the people who run it:</p>
<p class="alert"><code>${html(error)}</code>${description ? `: ${html(description)}` : ''}</p>`,
  )
