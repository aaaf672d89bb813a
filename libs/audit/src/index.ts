export { appendAudit, appendStatement } from './append.js'
export { AuditEntry } from './entry.js'
export { entryLine } from './export/line.js'
export { readableEntry } from './export/readable.js'
export { ExportEnd, ExportHeader, ExportLine } from './export/schema.js'
export { ExportVerifier, type VerifiedExport } from './export/verify.js'
export { ExportWriter } from './export/write.js'
export { type FailureKind, VerificationFailure } from './failure.js'
export { decodeBundle, encodeBundle } from './merkle/bundle.js'
export { type Checkpoint, checkpointText, parseCheckpoint, proofText } from './merkle/checkpoint.js'
export { Frontier } from './merkle/frontier.js'
export { HASH_LENGTH, leafHash } from './merkle/hash.js'
export {
  isSignedBy,
  type NoteSigner,
  noteSigner,
  parseNote,
  parseVerificationKey,
  signNote,
  verificationKey,
} from './merkle/note.js'
export { rangeProof } from './merkle/range.js'
export { nodesFromTiles, parseTileNumber, TILE_WIDTH, tilePath, tileRoot, tileWidth } from './merkle/tile.js'
export { consistencyProof, inclusionProof, type NodeReader, rootOf } from './merkle/tree.js'
export { verifyConsistency, verifyInclusion } from './merkle/verify.js'
export { sequenceBatch, startSequencer } from './sequencer.js'
export { openCheckpoint, readKeys, type TrustedCheckpoint } from './trust.js'
