import { createServer } from 'node:net'

function listens(port: number, host: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    server.listen(port, host, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? address?.port : undefined))
    })
  })
}

/** The preferred port where it is free, else any that is. */
export async function freePort(preferred: number, host = '127.0.0.1'): Promise<number> {
  const port = (await listens(preferred, host)) ?? (await listens(0, host))
  if (port === undefined) throw new Error(`No free port on ${host}`)
  return port
}
