/** The rules of the house (docs/adr, CONTRIBUTING.md): who may import whom. */
const PURE = [
  '^apps/compliance/src/(fhir/(audit-event|balp|search)|exports/csv|disclosures/disclosure|trail/query)\\.ts$',
  '^apps/fraud/src/(features|policy)/(?!.*\\.sql\\.ts$)',
  '^apps/fraud/src/scoring/reasons\\.ts$',
  '^apps/fraud/src/transactions/(transaction|currency|answer)\\.ts$',
  '^apps/imaging/src/(deidentify|pixels)/',
  '^apps/imaging/src/analysis/preprocess\\.ts$',
  '^libs/audit/src/(merkle|export|witness)/',
  '^libs/crypto/src/(hkdf|xaes|floe|field|file|blind-index|signature)\\.ts$',
  '^libs/inference/src/signing/(dsse|statement|bundle)\\.ts$',
]
const spec = '\\.(e2e-)?spec\\.ts$'
const apps = ['fraud', 'imaging', 'compliance']
const arrows = { platform: [], crypto: ['platform'], audit: ['platform', 'crypto'] }
const above = ['auth', 'queue', 'inference']

module.exports = {
  forbidden: [
    { name: 'no-circle', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'libs-import-no-app',
      severity: 'error',
      from: { path: '^libs/', pathNot: spec },
      to: { path: '^(apps|scripts|test)/' },
    },
    ...apps.map((app) => ({
      name: `${app}-imports-no-other-app`,
      severity: 'error',
      from: { path: `^apps/${app}/`, pathNot: spec },
      to: { path: '^(apps|scripts|test)/', pathNot: `^apps/${app}/` },
    })),
    ...Object.entries(arrows).map(([lib, allowed]) => ({
      name: `arrows-of-${lib}`,
      severity: 'error',
      from: { path: `^libs/${lib}/`, pathNot: spec },
      to: { path: '^libs/', pathNot: `^libs/(${[lib, ...allowed].join('|')})/` },
    })),
    ...above.map((lib) => ({
      name: `arrows-of-${lib}`,
      severity: 'error',
      from: { path: `^libs/${lib}/`, pathNot: spec },
      to: { path: `^libs/(${above.filter((other) => other !== lib).join('|')})/` },
    })),
    {
      name: 'pure-files-decide-only',
      severity: 'error',
      from: { path: PURE, pathNot: spec },
      to: { path: 'node_modules/(@nestjs|typeorm|pg|fastify|bullmq|ioredis)/' },
    },
    {
      name: 'no-orphan',
      severity: 'error',
      from: { orphan: true, path: '^(apps|libs)/', pathNot: [spec, '\\.d\\.ts$', 'main\\.ts$'] },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      conditionNames: ['project-source', 'import', 'require', 'node', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
}
