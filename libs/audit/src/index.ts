export { appendAllAudit, appendAudit, appendStatement } from './append.js'
export { Cosigners } from './cosigning.js'
export { AuditEntry } from './entry.js'
export { entryLine } from './export/line.js'
export { readableEntry } from './export/readable.js'
export { ExportEnd, ExportHeader, ExportLine } from './export/schema.js'
export { ExportVerifier, type VerifiedExport } from './export/verify.js'
export { ExportWriter } from './export/write.js'
export { type FailureKind, VerificationFailure } from './failure.js'
export { BrokenHistoryError } from './history.js'
export { decodeBundle, encodeBundle } from './merkle/bundle.js'
export { type Checkpoint, checkpointText, parseCheckpoint, proofText } from './merkle/checkpoint.js'
export { Frontier } from './merkle/frontier.js'
export { HASH_LENGTH, leafHash } from './merkle/hash.js'
export {
  cosign,
  cosignatureKey,
  isSignedBy,
  isWitnessKey,
  type NoteSigner,
  type NoteVerifier,
  noteSigner,
  parseNote,
  parseVerificationKey,
  signatureTime,
  signNote,
  verificationKey,
} from './merkle/note.js'
export { rangeProof } from './merkle/range.js'
export { nodesFromTiles, parseTileNumber, TILE_WIDTH, tilePath, tileRoot, tileWidth } from './merkle/tile.js'
export { consistencyProof, inclusionProof, type NodeReader, rootOf } from './merkle/tree.js'
export { verifyConsistency, verifyInclusion } from './merkle/verify.js'
export { PublishedFile, readSigned, type SignedCheckpoint } from './published-file.js'
export { Publisher } from './publisher.js'
export { PURPOSES_OF_USE, type PurposeOfUse, purposeOfUse, requirePurpose } from './purpose-of-use.js'
export { openDetails, sealDetails } from './sealed.js'
export { type Sequencer, sequenceBatch, startSequencer } from './sequencer.js'
export { signerFrom } from './signing-key.js'
export { newestCheckpoint, storedNodes } from './tree.sql.js'
export { openCheckpoint, readKeys, type TrustedCheckpoint } from './trust.js'
export { parseWitnesses, type Witness } from './witness/client.js'
export { judge, type Verdict } from './witness/judge.js'
export { addCheckpointText } from './witness/request.js'
