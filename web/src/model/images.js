/** Pictures as planes [3, side, side] in [0, 1]: made smaller and larger as the sketches' parts do it. */

/**
 * Means over squares.
 * @param {Float32Array} image [3, side, side]
 * @param {number} side
 * @param {number} factor
 */
export function shrink(image, side, factor) {
  const small = side / factor, out = new Float32Array(3 * small * small);
  for (let c = 0; c < 3; c++) for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) {
    out[(c * small + Math.floor(y / factor)) * small + Math.floor(x / factor)] +=
      image[(c * side + y) * side + x] / (factor * factor);
  }
  return out;
}

/**
 * Bicubic between the pixels (a = -0.75, borders repeated), as torch interpolates.
 * @param {Float32Array} image [3, side, side]
 * @param {number} side
 * @param {number} factor
 */
export function enlarge(image, side, factor) {
  const large = side * factor, weights = [], places = [];
  for (let x = 0; x < large; x++) {
    const at = (x + 0.5) / factor - 0.5, from = Math.floor(at), t = at - from;
    places.push([-1, 0, 1, 2].map((k) => Math.min(Math.max(from + k, 0), side - 1)));
    weights.push([far(t + 1), near(t), near(1 - t), far(2 - t)]);
  }
  const half = new Float32Array(3 * side * large), out = new Float32Array(3 * large * large);
  for (let row = 0; row < 3 * side; row++) for (let x = 0; x < large; x++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += weights[x][k] * image[row * side + places[x][k]];
    half[row * large + x] = sum;
  }
  for (let c = 0; c < 3; c++) for (let y = 0; y < large; y++) for (let x = 0; x < large; x++) {
    let sum = 0;
    for (let k = 0; k < 4; k++) sum += weights[y][k] * half[(c * side + places[y][k]) * large + x];
    out[(c * large + y) * large + x] = sum;
  }
  return out;
}

const A = -0.75;
/** @param {number} x */
const near = (x) => ((A + 2) * x - (A + 3)) * x * x + 1;
/** @param {number} x */
const far = (x) => ((A * x - 5 * A) * x + 8 * A) * x - 4 * A;

/** @param {Float32Array} image */
export function clamp(image) {
  return image.map((x) => Math.min(Math.max(x, 0), 1));
}

/**
 * Bytes RGBA of planes in [0, 1].
 * @param {Float32Array} image [3, side, side]
 * @param {number} side
 */
export function rgba(image, side) {
  const area = side * side, out = new Uint8ClampedArray(4 * area);
  for (let k = 0; k < area; k++) {
    for (let c = 0; c < 3; c++) out[4 * k + c] = Math.round(255 * Math.min(Math.max(image[c * area + k], 0), 1));
    out[4 * k + 3] = 255;
  }
  return out;
}
