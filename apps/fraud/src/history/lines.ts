import { createReadStream } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { parse } from 'csv-parse/sync'

/** A line of a CSV file; `cells` is missing where it is no CSV. */
export interface Line {
  number: number
  cells?: string[]
}

const LONGEST = 65_536

function open(file: string, progress: (bytes: number) => void): Readable {
  const source = createReadStream(file)
  source.on('data', (chunk) => progress(chunk.length))
  if (!file.endsWith('.gz')) return source
  // An error of either end reaches who reads: pipeline destroys the other with it.
  return pipeline(source, createGunzip(), () => undefined)
}

async function* textLines(stream: Readable): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of stream.setEncoding('utf8')) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop()!
    if (rest.length > LONGEST) throw new Error(`A line is longer than ${LONGEST} characters`)
    yield* lines
  }
  yield rest
}

function cellsOf(text: string): string[] | undefined {
  if (text.includes('\ufffd')) return undefined
  if (!text.includes('"')) return text.split(',')
  try {
    return parse(text)[0]
  } catch {
    return undefined
  }
}

/**
 * Reads a CSV file (RFC 4180, but a cell cannot go over several lines), gzip by the name's end. Each line stands for
 * itself, so that a broken one spoils no other; empty ones are left out. Throws where the file cannot be read.
 */
export async function* linesOf(
  file: string,
  progress: (bytes: number) => void = () => undefined,
): AsyncGenerator<Line> {
  let number = 0
  for await (const text of textLines(open(file, progress))) {
    number++
    const line = (number === 1 ? text.replace(/^\ufeff/, '') : text).replace(/\r$/, '')
    if (line !== '') yield { number, cells: cellsOf(line) }
  }
}
