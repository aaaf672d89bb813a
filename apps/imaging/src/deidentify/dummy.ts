const TEXT: Record<string, string> = {
  AE: 'ANON',
  AS: '000Y',
  CS: 'ANON',
  DA: '19000101',
  DS: '0',
  DT: '19000101000000',
  IS: '0',
  LO: 'ANON',
  LT: 'ANON',
  PN: 'ANON',
  SH: 'ANON',
  ST: 'ANON',
  TM: '000000',
  UC: 'ANON',
  UR: 'urn:vigil:removed',
  UT: 'ANON',
}

/** A value of the VR that says nothing (action D); for binary VRs zeros of the same length. */
export const dummyOf = (vr: string, length: number): Buffer =>
  vr in TEXT ? Buffer.from(TEXT[vr]!) : Buffer.alloc(length + (length % 2))

/** A document that says nothing, of the media type that the instance declares (PS3.3 C.24.2). */
export function blankDocument(mediaType: string): Buffer {
  if (mediaType === 'application/pdf') return BLANK_PDF
  if (mediaType === 'text/XML')
    return Buffer.from('<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"/>\n')
  return Buffer.alloc(2)
}

function pdf(): Buffer {
  const objects = [
    '<</Type/Catalog/Pages 2 0 R>>',
    '<</Type/Pages/Kids[3 0 R]/Count 1>>',
    '<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>',
  ]
  let text = '%PDF-1.4\n'
  const offsets = objects.map((object, at) => {
    const offset = text.length
    text += `${at + 1} 0 obj${object}endobj\n`
    return `${String(offset).padStart(10, '0')} 00000 n \n`
  })
  const start = text.length
  text += `xref\n0 4\n0000000000 65535 f \n${offsets.join('')}trailer<</Size 4/Root 1 0 R>>\nstartxref\n${start}\n%%EOF\n`
  return Buffer.from(text)
}
const BLANK_PDF = pdf()
