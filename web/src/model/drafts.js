/** Drafts: few steps of a sampler whose coefficients were fitted, so that they end where many steps end. */

import { cleanAndNoise } from "./schedule.js";

/** @typedef {{ times: number[], guided: boolean[], weights: number[][] }} Fitted */
/** @typedef {{ num_steps: number, guidance_scale: number, steps: Record<string, Fitted> }} Drafts */

/** Passes of a denoiser: guided steps take two. @param {Fitted} steps */
export function passesOf({ times, guided }) {
  return times.length + guided.filter((each) => each).length;
}

/**
 * The name of the draft that a part makes, which says its passes; `null` where it makes none of these.
 * @param {string} part
 * @param {Drafts} drafts
 */
export function draftOf(part, drafts) {
  const passes = Number(/^denoiser\[(\d+) passes, fitted\]$/.exec(part)?.[1] ?? 0);
  return Object.keys(drafts.steps).find((name) => passesOf(drafts.steps[name]) === passes) ?? null;
}

/**
 * A draft from noise: every step mixes what the steps so far have predicted.
 * @param {Fitted} steps
 * @param {import("./schedule.js").Schedule} schedule
 * @param {Float32Array} noise
 * @param {(latent: Float32Array, time: number, guided: boolean) => Promise<Float32Array[]>} predict without the prompt, where guided, and with it
 * @param {(done: number, of: number) => void} watch
 */
export async function drafted({ times, guided, weights }, schedule, noise, predict, watch) {
  /** @type {Float32Array[]} */
  const found = [];
  let latent = noise;
  for (let k = 0; k < times.length; k++) {
    const before = latent, power = schedule.powers[times[k]];
    const clean = (await predict(before, times[k], guided[k])).map((x) => cleanAndNoise(schedule, power, before, x).clean);
    const own = /** @type {Float32Array} */ (clean.at(-1));
    found.push(own);
    if (guided[k]) found.push(own.map((x, n) => x - clean[0][n]));
    const [first, ...others] = weights[k];
    latent = before.map((x, n) => others.reduce((sum, weight, j) => sum + weight * found[j][n], first * x));
    watch(k + 1, times.length);
  }
  return latent;
}
