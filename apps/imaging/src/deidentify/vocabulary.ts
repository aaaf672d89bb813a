import { fold } from './fold.js'
import { VOCABULARY } from './tables/vocabulary.generated.js'

function decode(): Set<string> {
  const words = new Set<string>()
  let last = ''
  for (const entry of VOCABULARY.trim().split(/\s+/)) {
    last = last.slice(0, Number.parseInt(entry[0]!, 36)) + entry.slice(1)
    words.add(last.toUpperCase())
  }
  return words
}

/** What technologists write into descriptions that no code meaning has. */
const SHORTHAND = `
ax axial axials tra transverse cor coronal sag sagittal obl oblique ap pa lat lateral ll rl cc mlo rt lt bilat left right both upper lower ant post
t1 t1w t2 t2w pd pdw flair dwi dti adc swi tof asl bold mra mrv mrcp mrs mri mr ct cta ctv ctpa cr dr dx us usg nm pet spect xa rf mg mammo echo doppler
tse fse gre se epi ssfp fiesta stir spir fs fatsat fat sat nonfs dixon vibe lava flash mprage bravo space cube haste ssfse trufi medic propeller blade
gad gd gado contrast cm km iv oral po rectal w wo with without and or of for the in on at to from by no not non post pre plain native enhanced unenhanced
scout localizer localiser topogram survey surview loc cal calibration smartprep bolus tracking timing test monitoring
arterial venous portal delayed delay phase early late dynamic perfusion cine gated ecg resp trig trigger breath hold bh fb free breathing insp exp
recon reformat mpr mip minip vr vrt thin thick slab soft bone lung brain std standard sharp smooth kernel filter raw secondary capture screen save report
series study exam examination protocol routine follow up followup fup control check screening trauma stroke tumor tumour mass lesion pain fracture
abd abdo pelv cerv thor lumb lspine cspine tspine spine neck head chest abdomen pelvis knee hip shoulder ankle wrist elbow foot hand heart liver kidney
thorax schadel kopf hals becken bauch wirbelsaule knie hufte schulter lunge leber niere herz gehirn hwk bwk lwk hws bws lws
crane cou poumon foie genou hanche epaule bassin rachis cerveau coeur rein abdominale cabeza cuello torax rodilla cadera hombro columna higado corazon
dose summary page body whole part region view views projection image images frame frames slice slices volume stack set sets multi single
`
const words = decode()
for (const word of SHORTHAND.trim().split(/\s+/)) words.add(word.toUpperCase())

/** Whether a folded word is one of medicine, or a common one beside them. */
export const isMedical = (word: string): boolean => words.has(word)

const TECHNICAL = [
  // Vertebrae and discs, weightings, dimensions, kernels, b values.
  /^[CTLS]\d{1,2}$/,
  /^T[12]\*?W?I?$/,
  /^[234]D$/,
  /^[BHIJTU]\d{2}[FHS]?$/,
  /^B\d{1,4}$/,
  // A quantity with its unit.
  /^\d{1,3}(\.\d{1,2})?(MM|CM|ML|CC|KV|KVP|MAS|MA|T|S|SEC|MS|MM2|MG|MIN|HZ|KHZ|MHZ|MBQ|MCI|DEG|X)$/,
  /^\d{1,3}X\d{1,3}$/,
]

/** Whether a token of a description is worth keeping and tells of nobody. */
export function isUseful(token: string): boolean {
  const word = fold(token).text
  return words.has(word) || TECHNICAL.some((pattern) => pattern.test(word))
}
