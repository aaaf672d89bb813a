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
