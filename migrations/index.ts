import { Roles1764000000100 } from './1764000000100-roles.js'
import { Audit1764000000200 } from './1764000000200-audit.js'
import { Keys1764000000300 } from './1764000000300-keys.js'
import { Identity1764000000400 } from './1764000000400-identity.js'
import { Fraud1764000000500 } from './1764000000500-fraud.js'
import { Imaging1764000000600 } from './1764000000600-imaging.js'
import { AuditGuards1764000001000 } from './1764000001000-audit-guards.js'
import { Approvals1764000001100 } from './1764000001100-approvals.js'
import { TrailIndexes1764000001101 } from './1764000001101-trail-indexes.js'
import { Exports1764000001102 } from './1764000001102-exports.js'
import { Retention1764000001103 } from './1764000001103-retention.js'
import { ClassesOfActions1764000001104 } from './1764000001104-classes-of-actions.js'
import { KeyRotation1764000001200 } from './1764000001200-key-rotation.js'
import { Erasure1764000001201 } from './1764000001201-erasure.js'
import { KnownSubject1764000001202 } from './1764000001202-known-subject.js'
import { SignIn1764000001300 } from './1764000001300-sign-in.js'
import { Budgets1764000001400 } from './1764000001400-budgets.js'
import { BreakGlass1764000001401 } from './1764000001401-break-glass.js'
import { FraudEngine1764000001500 } from './1764000001500-fraud-engine.js'
import { FraudRetention1764000001501 } from './1764000001501-fraud-retention.js'
import { AuditAppendAll1764000001502 } from './1764000001502-audit-append-all.js'

/** Every migration of the database, in order. A landed migration is never edited. */
export const migrations = [
  Roles1764000000100,
  Audit1764000000200,
  Keys1764000000300,
  Identity1764000000400,
  Fraud1764000000500,
  Imaging1764000000600,
  AuditGuards1764000001000,
  Approvals1764000001100,
  TrailIndexes1764000001101,
  Exports1764000001102,
  Retention1764000001103,
  ClassesOfActions1764000001104,
  KeyRotation1764000001200,
  Erasure1764000001201,
  KnownSubject1764000001202,
  SignIn1764000001300,
  Budgets1764000001400,
  BreakGlass1764000001401,
  FraudEngine1764000001500,
  FraudRetention1764000001501,
  AuditAppendAll1764000001502,
]
