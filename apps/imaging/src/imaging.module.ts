import { type DynamicModule, Module } from '@nestjs/common'
import { AuthModule, type Door, type TokenPolicy } from '#libs/auth'
import { BreakGlassController } from './break-glass/break-glass.controller.js'
import { IMAGING, type Imaging } from './imaging.js'
import { IntakeController } from './intake/intake.controller.js'
import { ResultsController } from './results/results.controller.js'

/** The imaging service: images in, findings out, patients only for who may see them. */
@Module({})
export class ImagingModule {
  static with(imaging: Imaging, tokens: TokenPolicy, door: Door): DynamicModule {
    return {
      module: ImagingModule,
      imports: [AuthModule.with(tokens, door)],
      controllers: [IntakeController, ResultsController, BreakGlassController],
      providers: [{ provide: IMAGING, useValue: imaging }],
    }
  }
}
