/** Five columns of seven dots a character, lowest bit on top. */
const COLUMNS: Record<string, string> = {
  ' ': '0000000000',
  '-': '0808080808',
  '.': '0060600000',
  '/': '2010080402',
  ':': '0036360000',
  '^': '0402010204',
  0: '3E5149453E',
  1: '00427F4000',
  2: '4261514946',
  3: '2141454B31',
  4: '1814127F10',
  5: '2745454539',
  6: '3C4A494930',
  7: '0171090503',
  8: '3649494936',
  9: '064949291E',
  A: '7E1111117E',
  B: '7F49494936',
  C: '3E41414122',
  D: '7F4141221C',
  E: '7F49494941',
  F: '7F09090901',
  G: '3E4149497A',
  H: '7F0808087F',
  I: '00417F4100',
  J: '2040413F01',
  K: '7F08142241',
  L: '7F40404040',
  M: '7F020C027F',
  N: '7F0408107F',
  O: '3E4141413E',
  P: '7F09090906',
  Q: '3E4151215E',
  R: '7F09192946',
  S: '4649494931',
  T: '01017F0101',
  U: '3F4040403F',
  V: '1F2040201F',
  W: '3F4038403F',
  X: '6314081463',
  Y: '0708700807',
  Z: '6151494543',
}

/** Width and height of a text in pixels at a scale. */
export const textSize = (text: string, scale: number) => ({
  width: text.length * 6 * scale,
  height: 7 * scale,
})

/** Calls `dot` for every pixel of a text that begins at (x, y). */
export function drawText(
  text: string,
  x: number,
  y: number,
  scale: number,
  dot: (x: number, y: number) => void,
): void {
  for (const [at, character] of [...text.toUpperCase()].entries()) {
    const columns = Buffer.from(COLUMNS[character] ?? COLUMNS['-']!, 'hex')
    for (let column = 0; column < 5 * scale; column++) {
      for (let row = 0; row < 7 * scale; row++) {
        const lit = (columns[Math.floor(column / scale)]! >> Math.floor(row / scale)) & 1
        if (lit) dot(x + at * 6 * scale + column, y + row)
      }
    }
  }
}
