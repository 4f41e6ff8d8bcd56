/** The learned seed codec: what its network reads, from received symbols; the network itself is a graph. */

import { linearError, linearPowers, matched } from "./linear.js";

/** @typedef {import("../wire/frames.js").Symbols} Symbols */

const LOWEST_DB = -12, HIGHEST_DB = 22, STEP_DB = 2, FEWEST_USES = 16;

/**
 * Inputs of the decoder's graph, one item.
 * @param {Symbols} symbols
 * @param {Float32Array} variances [n] of the components
 * @param {{ shape: number[], values: ArrayLike<number> }} logPowers [2, sizes, levels]
 * @param {boolean} withPrompt
 */
export function seedInputs(symbols, variances, logPowers, withPrompt) {
  const size = variances.length, uses = symbols.count;
  const turned = new Float32Array(2 * size), gain = new Float32Array(2 * size);
  const noise = new Float32Array(2 * size).fill(1);
  for (let k = 0; k < 2 * uses; k++) {
    const one = matched(symbols, k >> 1, k & 1);
    turned[k] = one.turned;
    gain[k] = one.gain;
    noise[k] = symbols.noise[k >> 1] / 2;
  }
  const snr = Math.min(Math.max(symbols.snr, 10 ** (LOWEST_DB / 10)), 10 ** (HIGHEST_DB / 10));
  const powers = linearPowers(variances, uses, snr), plain = new Float32Array(2 * size);
  for (let k = 0; k < 2 * uses; k++) {
    const component = k % size, copies = component < 2 * uses - size ? 2 : 1;
    plain[k] = Math.sqrt(powers[component] / (copies * variances[component]));
  }
  const error = Math.sqrt(linearError(variances, uses, snr) / size);
  const level = Math.log10(snr) - 0.5, count = Math.log2(uses / 128) / 2;
  const features = [level, count, Math.log(error), level * count, level * level - 1, count * count - 1];
  const scale = Math.exp(-0.5 * logPower(logPowers, uses, symbols.snr, withPrompt, size));
  return { turned, gain, noise, amplitudes: plain, features: Float32Array.from(features), uses, scale };
}

/**
 * Logarithm of the mean power per use before it is normalised, interpolated in the measured table.
 * @param {{ shape: number[], values: ArrayLike<number> }} table
 * @param {number} uses
 * @param {number} snr linear
 * @param {boolean} withPrompt
 * @param {number} most number of values
 */
function logPower({ shape: [, sizes, levels], values }, uses, snr, withPrompt, most) {
  const fewest = Math.min(FEWEST_USES, Math.floor(most / 2));
  const row = (Math.log(Math.max(uses, fewest) / fewest) / Math.log(most / fewest)) * (sizes - 1);
  const lower = Math.min(Math.trunc(row), sizes - 2);
  const decibels = 10 * Math.log10(Math.min(Math.max(snr, 1e-9), 1e9));
  const place = (Math.min(Math.max(decibels, LOWEST_DB), HIGHEST_DB) - LOWEST_DB) / STEP_DB;
  const left = Math.min(Math.trunc(place), levels - 2);
  /** @param {number} r @param {number} c */
  const at = (r, c) => values[((withPrompt ? 1 : 0) * sizes + r) * levels + c];
  /** @param {number} a @param {number} b @param {number} share */
  const mix = (a, b, share) => a + (b - a) * share;
  /** @param {number} c */
  const column = (c) => mix(at(lower, c), at(lower + 1, c), row - lower);
  return mix(column(left), column(left + 1), place - left);
}
