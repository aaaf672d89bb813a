import type { INestApplication } from '@nestjs/common'
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger'

const METHODS = ['get', 'put', 'post', 'delete', 'patch'] as const

/** What libs/auth tells of a route: the scopes that it needs, or why it needs none. */
interface Declared {
  'x-scopes'?: string[]
  'x-public'?: string
}

/** `security` of each operation from what its route declares; a route that declares nothing is closed to everybody. */
function withSecurity(document: OpenAPIObject): OpenAPIObject {
  for (const path of Object.values(document.paths))
    for (const method of METHODS) {
      const operation = path[method]
      if (!operation) continue
      const { 'x-scopes': scopes, 'x-public': reason } = operation as Declared
      if (scopes) operation.security = [{ bearer: scopes }]
      else if (reason) operation.security = []
    }
  return document
}

/** Serves `/openapi.json`, and `/docs` for people. */
export function describeRoutes(app: INestApplication, title: string): void {
  const document = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle(title)
    .setVersion('1')
    .setLicense('Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0')
    .addBearerAuth()
    .build()
  SwaggerModule.setup('docs', app, () => withSecurity(SwaggerModule.createDocument(app, document)), {
    jsonDocumentUrl: 'openapi.json',
  })
}
