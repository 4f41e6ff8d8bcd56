/**
 * The linear code: principal components, each scaled to its power (Lee and Petersen 1976), and their LMMSE estimate.
 */

const LARGEST_SNR = 1e12;

/** @typedef {import("../wire/frames.js").Symbols} Symbols */

/**
 * @typedef {Object} Basis
 * @property {Float32Array} mean [n]
 * @property {Float32Array} basis [n, n], columns are the components
 * @property {Float32Array} variances [n], not increasing
 * @property {Int16Array | Int32Array} classes [n], classes of the deviations for the entropy coder
 */

/**
 * The components of a stored basis: as they are, or integers [n, k] row by row, each column with its own step.
 * @param {Object<string, import("../wire/safetensors.js").Tensor>} tensors
 * @returns {Basis}
 */
export function basisOf({ mean, basis, steps, variances, scale_classes: classes }) {
  const scaled = steps && Float32Array.from(basis.values, (value, at) => value * steps.values[at % steps.values.length]);
  return /** @type {Basis} */ ({
    mean: mean.values, basis: scaled ?? basis.values, variances: variances.values, classes: classes.values,
  });
}

/**
 * Powers of the components that leave the least squared error, in closed form.
 *
 * p_i = N [sqrt(lambda_i / mu) - 1]^+ with the noise N = 1 / (2 snr) of a real dimension and sum p = uses.
 * @param {ArrayLike<number>} variances [n], > 0, not increasing
 * @param {number} uses complex channel uses
 * @param {number} snr linear
 * @returns {Float64Array} [min(n, 2 uses)]
 */
export function linearPowers(variances, uses, snr) {
  const size = Math.min(variances.length, 2 * uses);
  const ratio = 2 * uses * Math.min(Math.max(snr, 1e-12), LARGEST_SNR);
  let sum = 0, level = 0;
  for (let k = 0; k < size; k++) {
    const root = Math.sqrt(variances[k]);
    sum += root;
    const candidate = (ratio + k + 1) / sum;
    // The last component that gets power at its own level decides how many are active.
    if (root * candidate > 1) level = candidate;
  }
  return Float64Array.from({ length: size }, (_, k) =>
    (Math.max(Math.sqrt(variances[k]) * level - 1, 0) * uses) / ratio);
}

/**
 * Sum of squared errors of the linear code, in closed form.
 * @param {ArrayLike<number>} variances
 * @param {number} uses
 * @param {number} snr
 */
export function linearError(variances, uses, snr) {
  const powers = linearPowers(variances, uses, snr), ratio = 2 * Math.min(snr, LARGEST_SNR);
  let sum = 0;
  for (let k = 0; k < variances.length; k++) {
    sum += k < powers.length ? variances[k] / (1 + powers[k] * ratio) : variances[k];
  }
  return sum;
}

/**
 * The latent of received symbols.
 * @param {Symbols} symbols
 * @param {Basis} basis
 * @returns {Float32Array} [n]
 */
export function decodeLinear(symbols, basis) {
  const uses = symbols.count, size = Math.min(basis.mean.length, 2 * uses);
  const powers = linearPowers(basis.variances, uses, symbols.snr);
  const copies = new Float64Array(size);
  for (let k = 0; k < 2 * uses; k++) copies[k % size]++;
  const statistic = new Float64Array(size), precision = new Float64Array(size);
  for (let k = 0; k < 2 * uses; k++) {
    const component = k % size, use = k >> 1;
    const amplitude = Math.sqrt(powers[component] / (copies[component] * basis.variances[component]));
    const { turned, gain, noise } = matched(symbols, use, k & 1);
    statistic[component] += (amplitude * turned) / noise;
    precision[component] += (amplitude * amplitude * gain) / noise;
  }
  const components = statistic.map((s, k) => (basis.variances[k] * s) / (1 + basis.variances[k] * precision[k]));
  return synthesise(components, basis);
}

/**
 * What a matched filter makes of one real dimension of a use: conj(h) y, |h|^2, and the noise of a real part.
 * @param {Symbols} symbols
 * @param {number} use
 * @param {number} part 0 for the real, 1 for the imaginary one
 */
export function matched({ values, gain, noise }, use, part) {
  const [re, im, h, g] = [values[2 * use], values[2 * use + 1], gain[2 * use], gain[2 * use + 1]];
  return {
    turned: part ? h * im - g * re : h * re + g * im,
    gain: h * h + g * g,
    noise: Math.max(noise[use] / 2, 0.5 / LARGEST_SNR),
  };
}

/**
 * Latent of components; those behind the last are zero.
 * @param {ArrayLike<number>} components
 * @param {Basis} basis
 */
export function synthesise(components, { mean, basis }) {
  const size = mean.length, latent = Float64Array.from(mean);
  for (let row = 0; row < size; row++) {
    let sum = 0;
    for (let k = 0, at = row * size; k < components.length; k++, at++) sum += basis[at] * components[k];
    latent[row] += sum;
  }
  return Float32Array.from(latent);
}
