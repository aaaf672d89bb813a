export { appendAudit, appendStatement } from './append.js'
export { AuditEntry } from './entry.js'
