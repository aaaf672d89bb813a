import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** A de-identifier that is measured: how it is run over a folder. */
export interface Peer {
  name: string
  /** What is missing, where it cannot be run. */
  missing?: string
  command: (input: string, output: string) => [command: string, ...args: string[]]
  /** Work on a copy of the input: the tool changes files in place. */
  inPlace?: boolean
}

/** What one run took. */
export interface Run {
  seconds: number
  /** User and system time of all threads. */
  cpuSeconds: number
  peakMb: number
  stdout: string
}

const isThere = (command: string): boolean => spawnSync(command, ['--version']).error === undefined
const python = ['/usr/bin/python3', 'python3'].find(
  (name) => spawnSync(name, ['-c', 'import pydicom']).status === 0,
)

/** Removes private elements, replaces UIDs, empties what names the patient: what a script of an afternoon does. */
const SCRIPT = `
import pathlib, sys, pydicom
from pydicom.uid import generate_uid
source, target = map(pathlib.Path, sys.argv[1:])
def clean(dataset, element):
    if element.VR == 'PN': element.value = 'ANON'
    elif element.VR in ('DA', 'DT'): element.value = ''
    elif element.VR == 'UI' and not str(element.value).startswith('1.2.840.10008.'): element.value = generate_uid(entropy_srcs=[str(element.value)])
    elif element.keyword in ('PatientID', 'AccessionNumber', 'InstitutionName', 'StationName', 'DeviceSerialNumber', 'StudyDescription', 'SeriesDescription'): element.value = ''
for file in source.iterdir():
    dataset = pydicom.dcmread(file)
    dataset.remove_private_tags()
    dataset.walk(clean)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target / file.name)
`

const EDITS =
  '-m PatientName=ANON -m PatientID=ANON -ma PatientBirthDate= -ea InstitutionName -ea ReferringPhysicianName -ea StudyDescription -ea AccessionNumber -ea PatientAddress -ep'

/** Tools of others that this machine has; they do less (gdcmanon keeps dates and private data, dcmodify twelve edits). */
export function peers(certificate: string): Peer[] {
  const missing = (there: boolean, package_: string) =>
    there ? {} : { missing: `not installed (${package_})` }
  return [
    {
      name: 'gdcmanon, with its envelope',
      ...missing(isThere('gdcmanon'), 'libgdcm-tools'),
      command: (input, output) => ['gdcmanon', '-c', certificate, '-e', '-r', input, output],
    },
    {
      name: 'dcmodify, 12 edits',
      ...missing(isThere('dcmodify'), 'dcmtk'),
      inPlace: true,
      command: (_input, output) => [
        'dcmodify',
        ...'-nb -ie -imt -gst -gse -gin'.split(' '),
        ...EDITS.split(' '),
        ...readdirSync(output).map((name) => join(output, name)),
      ],
    },
    {
      name: 'pydicom script',
      ...missing(python !== undefined, 'python3-pydicom'),
      command: (input, output) => [python!, '-W', 'ignore', '-c', SCRIPT, input, output],
    },
    {
      name: 'Orthanc anonymize',
      missing: 'not measured here: it has no command that reads a folder',
      command: () => ['false'],
    },
  ]
}

/** Runs a command over the folder into an empty one, timed by /usr/bin/time where that is there. */
export function measure({ command, inPlace }: Peer, input: string, output: string): Run {
  rmSync(output, { recursive: true, force: true })
  if (inPlace) cpSync(input, output, { recursive: true })
  else mkdirSync(output, { recursive: true })
  const [file, ...args] = command(input, output)
  const begun = performance.now()
  const { stdout, stderr, status } = spawnSync('/usr/bin/time', ['-f', 'measured %U %S %M', file, ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  const seconds = (performance.now() - begun) / 1000
  const [, user, system, peak] = /measured ([\d.]+) ([\d.]+) (\d+)/.exec(stderr ?? '') ?? []
  if (status !== 0 || peak === undefined)
    throw new Error(`${file} failed: ${(stderr ?? 'no /usr/bin/time').slice(-500)}`)
  return { seconds, cpuSeconds: Number(user) + Number(system), peakMb: Number(peak) / 1024, stdout }
}
