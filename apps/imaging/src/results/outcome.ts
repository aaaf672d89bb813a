import type { Pool } from 'pg'
import { findImage, stepsOf } from '../storage/images.sql.js'
import { type ImageView, viewOf } from './view.js'

/** What a tenant may know about an image of its own; undefined for any other id. */
export async function findView(pool: Pool, id: string, tenant: string): Promise<ImageView | undefined> {
  const image = await findImage(pool, id, tenant)
  return image && viewOf(image, await stepsOf(pool, id))
}

const FIRST_LOOK_MS = 50
const LONGEST_PAUSE_MS = 500

/** Waits until an image is done, at most `limitMs`; undefined when it was not. */
export async function awaitOutcome(
  pool: Pool,
  id: string,
  tenant: string,
  limitMs: number,
): Promise<ImageView | undefined> {
  const deadline = Date.now() + limitMs
  for (let pause = FIRST_LOOK_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
    const image = await findImage(pool, id, tenant)
    if (image?.finishedAt) return viewOf(image, await stepsOf(pool, id))
    const left = deadline - Date.now()
    if (left <= 0) return undefined
    await new Promise((resolve) => setTimeout(resolve, Math.min(pause, left)))
  }
}
