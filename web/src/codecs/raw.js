/** Two values per complex symbol: raw symbols, and those whose noise level goes along. */

/** @typedef {import("../wire/frames.js").Symbols} Symbols */

const SMALLEST_NOISE = 1e-12;
const SMALLEST_GAIN = 1e-6;

/**
 * MMSE estimate of values that were sent as they are, h* y / (|h|^2 + noise), repetitions combined.
 * @param {Symbols} symbols
 * @param {number} size values
 * @param {number} scale root mean square of the values
 */
export function decodeRaw(symbols, size, scale) {
  const pairs = Math.ceil(size / 2), rounds = Math.max(1, Math.floor(symbols.count / pairs));
  const values = new Float32Array(size);
  for (let pair = 0; pair < pairs; pair++) {
    let re = 0, im = 0, gain = 0, precision = 0;
    for (let round = 0; round < rounds; round++) {
      const use = round * pairs + pair, weight = 1 / Math.max(symbols.noise[use], SMALLEST_NOISE);
      const [y, z] = [symbols.values[2 * use], symbols.values[2 * use + 1]];
      const [h, g] = [symbols.gain[2 * use], symbols.gain[2 * use + 1]];
      re += weight * (h * y + g * z);
      im += weight * (h * z - g * y);
      gain += weight * (h * h + g * g);
      precision += weight;
    }
    // With one round this is h* y / (|h|^2 + noise); the sum of precisions stands for 1 / noise otherwise.
    const noise = rounds === 1 ? symbols.noise[pair] : 1 / precision, factor = (Math.SQRT2 * scale) / precision;
    const below = gain / precision + noise;
    values[2 * pair] = (factor * re) / below;
    if (2 * pair + 1 < size) values[2 * pair + 1] = (factor * im) / below;
  }
  return values;
}

/**
 * Values that were not shrunk, y / h, and the mean variance of their noise.
 * @param {Symbols} symbols
 * @param {number} size values
 * @param {number} scale root mean square of the values
 */
export function decodeMatched(symbols, size, scale) {
  const values = new Float32Array(size);
  let noise = 0;
  for (let use = 0; use < symbols.count; use++) {
    const [y, z] = [symbols.values[2 * use], symbols.values[2 * use + 1]];
    const [h, g] = [symbols.gain[2 * use], symbols.gain[2 * use + 1]];
    const power = Math.max(h * h + g * g, SMALLEST_GAIN), factor = (Math.SQRT2 * scale) / power;
    values[2 * use] = factor * (h * y + g * z);
    if (2 * use + 1 < size) values[2 * use + 1] = factor * (h * z - g * y);
    noise += symbols.noise[use] / power;
  }
  return { values, noise: (scale * scale * noise) / symbols.count };
}
