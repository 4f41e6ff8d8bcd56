/** Readers of quantised components in a stream: of latents, and of small pictures as cosines. */

import { StreamReader, fillEscaped } from "./entropy.js";
import { uniform, valueTable } from "./tables.js";

const NUM_STEPS = 64, LARGEST_STEP = 4, THRESHOLD = 0.6;
const STEPS = uniform(NUM_STEPS);
const LEVELS = 16, GREY = 0.5;
const COLOUR_AXES = [[1, 1, 1], [1, 0, -1], [1, -2, 1]];
const AXIS_DEVIATIONS = [0.75, 0.53, 0.3];
const DC_FACTOR = 7, CORNER = 16;
const STEEPNESS = [17, 20];

/**
 * Components of a stream, in the order of their classes.
 * @param {Uint8Array | null} string
 * @param {ArrayLike<number>} classes of the deviations, not increasing
 */
export function readComponents(string, classes) {
  const size = classes.length, values = new Float64Array(size);
  if (!string) return values;
  const reader = new StreamReader(string), index = reader.take(STEPS);
  // A step that is finer by an eighth of an octave raises every class by one.
  const shift = index - 16, step = LARGEST_STEP * 2 ** (-index / 8);
  const integers = new Int32Array(size);
  /** @type {number[]} */
  const escaped = [];
  for (let k = 0; k < size; k++) {
    const { ends, reach } = valueTable(classes[k] + shift, THRESHOLD), symbol = reader.take(ends);
    integers[k] = symbol - reach;
    if (symbol === 2 * reach + 1) escaped.push(k);
  }
  if (escaped.length) fillEscaped(reader, integers, escaped, uniform(2 ** 16));
  reader.close();
  return values.map((_, k) => integers[k] * step);
}

/**
 * A small picture [3, side, side] in [0, 1] of quantised cosines; grey where none arrived.
 * @param {Uint8Array | null} string
 * @param {number} side
 */
export function readSketch(string, side) {
  const { order, classes } = cosines(side), components = readComponents(string, classes);
  const picture = new Float32Array(3 * side * side);
  const cosine = Array.from({ length: side }, (_, k) => Array.from({ length: side }, (_, x) =>
    Math.cos((Math.PI / side) * k * (x + 0.5)) * Math.sqrt((k ? 2 : 1) / side)));
  const axes = COLOUR_AXES.map((axis) => axis.map((x) => x / Math.hypot(...axis)));
  const found = new Float64Array(3 * side * side);
  order.forEach((place, k) => { found[place] = components[k]; });
  // Separable: columns, then rows, then colours.
  const half = new Float64Array(3 * side * side), maps = new Float64Array(3 * side * side);
  for (let d = 0; d < 3; d++) {
    for (let k = 0; k < side; k++) for (let j = 0; j < side; j++) {
      let sum = 0;
      for (let l = 0; l < side; l++) sum += found[(d * side + k) * side + l] * cosine[l][j];
      half[(d * side + k) * side + j] = sum;
    }
    for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) {
      let sum = 0;
      for (let k = 0; k < side; k++) sum += half[(d * side + k) * side + j] * cosine[k][i];
      maps[(d * side + i) * side + j] = sum;
    }
  }
  const area = side * side;
  for (let c = 0; c < 3; c++) for (let k = 0; k < area; k++) {
    const sum = axes[0][c] * maps[k] + axes[1][c] * maps[area + k] + axes[2][c] * maps[2 * area + k];
    picture[c * area + k] = Math.min(Math.max(sum / LEVELS + GREY, 0), 1);
  }
  return picture;
}

/**
 * Cosines of a square picture in the order in which they are coded, and their classes.
 * @param {number} side
 */
function cosines(side) {
  /** @type {number[]} */
  const classes = [];
  const size = scaleClass((side * side) / 256);
  for (let axis = 0; axis < 3; axis++) for (let i = 0; i < side; i++) for (let j = 0; j < side; j++) {
    const level = scaleClass(LEVELS * AXIS_DEVIATIONS[axis] * (i || j ? 1 : DC_FACTOR)) + (size - (size % 2)) / 2;
    const down = (16 * i) / side, across = (16 * j) / side, squared = down * down + across * across;
    const [above, below] = STEEPNESS;
    classes.push(level - Math.floor((above * scaleClass(1 + squared / CORNER) + below / 2) / below));
  }
  const order = Array.from(classes.keys()).sort((a, b) => classes[b] - classes[a] || a - b);
  return { order, classes: order.map((k) => classes[k]) };
}

/**
 * Nearest whole number to 8 log2 of a ratio, in exact arithmetic: log2 may round to either side of a half.
 * @param {number} ratio > 0
 */
function scaleClass(ratio) {
  let exponent = Math.floor(Math.log2(ratio)) - 60;
  while (!Number.isInteger(ratio * 2 ** -exponent)) exponent--;
  // ratio = mantissa 2^exponent; its 16th power against powers of two.
  const power = BigInt(ratio * 2 ** -exponent) ** 16n, octaves = power.toString(2).length - 1 + 16 * exponent;
  return Math.floor((octaves + 1) / 2);
}
