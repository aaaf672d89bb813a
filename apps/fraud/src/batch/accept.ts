import type { FastifyInstance } from 'fastify'
import { NDJSON } from './batch.controller.js'

/** Hands NDJSON bodies to their route as they come: the stream is as long as the sender likes. */
export async function acceptStreams(fastify: FastifyInstance): Promise<void> {
  fastify.addContentTypeParser(NDJSON, (_request, body, done) => done(null, body))
}
