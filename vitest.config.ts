import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['project-source', 'node'] },
  ssr: { resolve: { conditions: ['project-source', 'node'] } },
  oxc: { decorator: { legacy: true, emitDecoratorMetadata: true } },
  test: {
    include: ['{apps,libs,migrations,scripts,test}/**/*.{spec,e2e-spec}.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/setup.ts'],
    reporters: ['default', './test/support/plain-reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
