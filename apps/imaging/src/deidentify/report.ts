import { tagName } from './dicom/element.js'
import type { Option } from './options.js'
import type { Action } from './profile.js'

/** One thing that was done: where, what, by which option. Never a value. */
export interface ReportLine {
  path: string
  action: Action | 'cross-out' | 'replace-pixels'
  option?: Option
}

/** What was done to one instance, in the order of its elements. */
export class Report {
  readonly lines: ReportLine[] = []

  add(prefix: string, tag: number, action: ReportLine['action'], option?: Option): void {
    this.lines.push({ path: prefix + tagName(tag), action, ...(option ? { option } : {}) })
  }
}
