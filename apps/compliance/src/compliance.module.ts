import { type DynamicModule, Module } from '@nestjs/common'
import { AuthModule, type Door, type TokenPolicy } from '#libs/auth'
import { ApprovalsController } from './approvals/approvals.controller.js'
import { COMPLIANCE, type Compliance } from './compliance.js'
import { DisclosuresController } from './disclosures/disclosures.controller.js'
import { ErasureController } from './erasure/erasure.controller.js'
import { ExportsController } from './exports/exports.controller.js'
import { FhirController } from './fhir/fhir.controller.js'
import { HoldsController } from './holds/holds.controller.js'
import { AuthorizeController } from './identity/authorize.controller.js'
import { DiscoveryController } from './identity/discovery.controller.js'
import { InteractionController } from './identity/interaction.controller.js'
import { TokenController } from './identity/token.controller.js'
import { RetentionController } from './retention/retention.controller.js'
import { LogController } from './trail/log.controller.js'
import { TrailController } from './trail/trail.controller.js'

/** The compliance service: who may come in, and what was done. */
@Module({})
export class ComplianceModule {
  static with(compliance: Compliance, tokens: TokenPolicy, door: Door): DynamicModule {
    return {
      module: ComplianceModule,
      imports: [AuthModule.with(tokens, door)],
      controllers: [
        TokenController,
        AuthorizeController,
        InteractionController,
        DiscoveryController,
        TrailController,
        LogController,
        ApprovalsController,
        HoldsController,
        ExportsController,
        RetentionController,
        FhirController,
        DisclosuresController,
        ErasureController,
      ],
      providers: [{ provide: COMPLIANCE, useValue: compliance }],
    }
  }
}
