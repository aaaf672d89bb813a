import { type Instance, textOf, ushortOf } from '../deidentify/dicom/element.js'
import type { Region } from './text/region.js'

/** Left, top, width and height in pixels. */
type Box = readonly [left: number, top: number, width: number, height: number]

/**
 * Where devices write text into their pictures, whatever a detector makes of it: parts of Manufacturer and of
 * Manufacturer's Model Name, number of rows where a template is for one size only, and the banners. Measured by the
 * users of RSNA CTP (DicomPixelAnonymizer) and pydicom/deid (MIT), whose public recipes these figures are taken from.
 */
const BANNERS: readonly [maker: string, model: string, rows: number | undefined, ...boxes: Box[]][] = [
  ['ACUSON', 'SEQUOIA', 480, [0, 0, 640, 30]],
  ['ATL', 'HDI 5000', 476, [40, 0, 200, 40], [240, 0, 190, 16]],
  ['ATL', 'HDI4000', 480, [0, 0, 1140, 62]],
  ['ESAOTE', '6100', 608, [0, 0, 790, 52]],
  ['ESAOTE', '6150', 555, [0, 0, 1140, 72]],
  ['ESAOTE', '6150', 608, [0, 0, 1140, 72]],
  ['ESAOTE', '6150', 804, [0, 0, 1030, 45]],
  ['GE', 'LOGIQ9', undefined, [0, 0, 640, 30]],
  ['GE', 'LOGIQE', 614, [0, 0, 1150, 75]],
  ['GE', 'LOGIQE9', undefined, [0, 0, 960, 70]],
  ['GE', 'LOGIQS7', 720, [0, 0, 1060, 67]],
  ['GE', 'LOGIQS8', 768, [0, 0, 1150, 60]],
  ['GE', 'LOGIQS8', 873, [0, 0, 1160, 65]],
  ['GE', 'V830', undefined, [0, 0, 960, 70]],
  ['GE', 'VOLUSON P8', 727, [0, 0, 1150, 65]],
  ['GE', 'VOLUSON S', 743, [0, 0, 925, 62]],
  ['GE', 'VOLUSON S10', 600, [0, 0, 1040, 62]],
  ['GE', 'VOLUSON S10', 852, [0, 0, 1040, 62]],
  ['MEDISON', 'ACCUVIX V20', 768, [0, 0, 1010, 65]],
  ['PHILIPS', 'AFFINITI 70G', 768, [0, 0, 1024, 22]],
  ['PHILIPS', 'AFFINITI 70G', 825, [0, 0, 1140, 70]],
  ['PHILIPS', 'CLEARVUE 650', 600, [0, 0, 1150, 22]],
  ['PHILIPS', 'CX50', undefined, [0, 0, 800, 59]],
  ['PHILIPS', 'EPIQ', 600, [0, 0, 1024, 49]],
  ['PHILIPS', 'EPIQ', 768, [0, 0, 1024, 49]],
  ['PHILIPS', 'EPIQ', 825, [0, 0, 800, 59]],
  ['PHILIPS', 'IU22', 480, [0, 0, 640, 47]],
  ['PHILIPS', 'IU22', 600, [0, 0, 800, 59]],
  ['PHILIPS', 'IU22', 786, [0, 0, 1024, 75]],
  ['SENO', '', 1056, [161, 0, 1632, 50]],
  ['SENO', '', 1058, [161, 0, 1632, 50]],
  ['SIEMENS', 'ACUSON', 600, [0, 0, 800, 43], [128, 56, 16, 16]],
  ['SIEMENS', 'ACUSON NX3', 768, [0, 0, 1150, 58]],
  ['SIEMENS', 'ANTARES', 768, [0, 0, 1024, 60], [200, 60, 20, 20], [800, 65, 104, 14]],
  ['SIEMENS', 'G40', 600, [0, 0, 980, 45]],
  ['SIEMENS', 'S2000', 768, [0, 0, 1024, 60]],
  ['SIEMENS', 'S3000', 768, [0, 0, 1040, 60]],
  ['SIEMENS', 'X150', 600, [0, 0, 1145, 50]],
  ['SUPERSONIC', 'AIXPLORER', 1050, [0, 0, 1400, 89]],
  ['TOSHIBA', 'A400', 720, [0, 0, 960, 60]],
  ['TOSHIBA', 'A500', 720, [0, 0, 960, 60]],
  ['TOSHIBA', 'TUS-A300', 632, [0, 0, 1150, 72]],
  ['TOSHIBA', 'TUS-A300', 720, [0, 0, 1150, 68]],
  ['TOSHIBA', 'TUS-A500', 632, [0, 0, 1150, 60]],
  ['TOSHIBA', 'TUS-A500', 903, [0, 0, 930, 50]],
  ['ZONARE', 'ZS3', 600, [0, 0, 1150, 55]],
  ['ZONARE', 'Z_ONE', 600, [0, 0, 800, 65]],
]

/** Regions that the templates name for an ultrasound picture: maker, model and size must all fit. */
export function templateRegions(instance: Instance): Region[] {
  if (textOf(instance, 0x00080060) !== 'US') return []
  const [maker, model] = [0x00080070, 0x00081090].map((tag) => (textOf(instance, tag) ?? '').toUpperCase())
  const [rows, columns] = [ushortOf(instance, 0x00280010) ?? 0, ushortOf(instance, 0x00280011) ?? 0]
  return BANNERS.filter(
    ([theirs, type, size]) => maker!.includes(theirs) && model!.includes(type) && (size ?? rows) === rows,
  ).flatMap(([, , , ...boxes]) =>
    boxes
      .map(([left, top, width, height]) => ({
        left,
        top,
        right: Math.min(columns, left + width),
        bottom: Math.min(rows, top + height),
      }))
      .filter(({ left, top, right, bottom }) => left < right && top < bottom),
  )
}
