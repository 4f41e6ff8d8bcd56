/**
 * Frequency tables of quantised values, equal on every machine: only + - * / of doubles and exact powers of two.
 * The same steps in the same order as in gainnet/codecs/tables.py.
 */

export const TOTAL = 2 ** 24;
const CLASSES_PER_OCTAVE = 8;
const SMALLEST_CLASS = -32, LARGEST_CLASS = 80;
const TABLE_REACH = 8;
const LARGEST_Z = 10;
const ESCAPE_FREQUENCY = 64;
const LOG_2 = 0.6931471805599453;
const INVERSE_SQRT_2_PI = 0.3989422804014327;

/** Powers of an eighth of an octave, each the double nearest to the exact power; octaves scale them exactly. */
const EIGHTHS = [1.0, 1.0905077326652577, 1.189207115002721, 1.2968395546510099, 1.4142135623730951, 1.542210825407941, 1.6817928305074294, 1.8340080864093429];

/**
 * A table of frequencies.
 * @typedef {Object} Table
 * @property {Uint32Array} ends cumulated frequencies, one more than symbols
 * @property {number} reach largest absolute value in the table
 */

/**
 * The exponential of a number <= 0.
 * @param {number} x
 */
export function exp(x) {
  const whole = Math.floor(x / LOG_2), rest = x - whole * LOG_2;
  let series = 1;
  for (let n = 20; n > 0; n--) series = 1 + (series * rest) / n;
  return series * 2 ** whole;
}

/**
 * 2^x, equal on every machine.
 * @param {number} x
 */
export function powerOfTwo(x) {
  const small = exp(-Math.abs(x) * LOG_2);
  return x > 0 ? 1 / small : small;
}

/**
 * Probability of (0, z] under a standard normal law.
 * @param {number} z
 */
function gaussianMass(z) {
  z = Math.min(z, LARGEST_Z);
  let term = z, total = z;
  for (let n = 1; n < 160; n++) {
    term = (term * z * z) / (2 * n + 1);
    total += term;
  }
  return INVERSE_SQRT_2_PI * exp((-z * z) / 2) * total;
}

/** @type {Map<string, Table>} */
const remembered = new Map();

/**
 * The table of integers that a Gaussian value is quantised to; the symbol after the largest value is the escape.
 * @param {number} ratioClass standard deviation over step, in eighths of an octave
 * @param {number} threshold half width of the bin of zero, in steps
 * @returns {Table}
 */
export function valueTable(ratioClass, threshold = 0.5) {
  const limited = Math.min(Math.max(ratioClass, SMALLEST_CLASS), LARGEST_CLASS), key = `${limited} ${threshold}`;
  const known = remembered.get(key);
  if (known) return known;
  const octave = Math.floor(limited / CLASSES_PER_OCTAVE);
  const ratio = EIGHTHS[limited - octave * CLASSES_PER_OCTAVE] * 2 ** octave;
  const reach = Math.max(1, Math.trunc(TABLE_REACH * ratio));
  const spare = TOTAL - ESCAPE_FREQUENCY - 2 * reach - 1;
  const counts = [];
  let before = gaussianMass(threshold / ratio), sum = 0;
  for (let k = 1; k <= reach; k++) {
    const mass = gaussianMass((k + threshold) / ratio);
    const count = 1 + Math.trunc(Math.max(mass - before, 0) * spare);
    counts.push(count);
    sum += count;
    before = mass;
  }
  const centre = TOTAL - ESCAPE_FREQUENCY - 2 * sum;
  const table = { ends: cumulated([...counts.slice().reverse(), centre, ...counts, ESCAPE_FREQUENCY]), reach };
  remembered.set(key, table);
  return table;
}

/**
 * Equal frequencies, up to one part in 2^24.
 * @param {number} count of symbols
 * @returns {Uint32Array}
 */
export function uniform(count) {
  const share = Math.floor(TOTAL / count), rest = TOTAL % count;
  return cumulated(Array.from({ length: count }, (_, k) => share + (k < rest ? 1 : 0)));
}

/** @param {number[]} frequencies */
export function cumulated(frequencies) {
  const ends = new Uint32Array(frequencies.length + 1);
  for (let k = 0; k < frequencies.length; k++) ends[k + 1] = ends[k] + frequencies[k];
  return ends;
}
