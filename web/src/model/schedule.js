/** The sampler: noise levels of the training, times of the steps, and the deterministic step of DDIM. */

/** @typedef {{ num_train_timesteps: number, beta_start: number, beta_end: number, prediction_type: string, rescale_betas_zero_snr: boolean, set_alpha_to_one: boolean, timestep_spacing: string, steps_offset: number }} Config */

/**
 * @param {Config} config
 * @param {number} numSteps
 */
export function scheduleOf(config, numSteps) {
  const count = config.num_train_timesteps, low = Math.sqrt(config.beta_start), high = Math.sqrt(config.beta_end);
  const roots = new Float64Array(count);
  let product = 1;
  for (let t = 0; t < count; t++) {
    product *= 1 - (low + ((high - low) * t) / (count - 1)) ** 2;
    roots[t] = Math.sqrt(product);
  }
  if (config.rescale_betas_zero_snr) {
    const first = roots[0], last = roots[count - 1];
    for (let t = 0; t < count; t++) roots[t] = ((roots[t] - last) * first) / (first - last);
  }
  const powers = roots.map((root) => root * root);
  const ratio = count / numSteps;
  const times = config.timestep_spacing === "trailing"
    ? Array.from({ length: numSteps }, (_, k) => Math.round(count - k * ratio) - 1)
    : Array.from({ length: numSteps }, (_, k) => (numSteps - 1 - k) * Math.floor(ratio) + 1);
  return { powers, times, final: config.set_alpha_to_one ? 1 : powers[0], isVelocity: config.prediction_type === "v_prediction" };
}

/** @typedef {ReturnType<typeof scheduleOf>} Schedule */

/**
 * Clean latent and noise that a prediction stands for.
 * @param {Schedule} schedule
 * @param {number} power of the signal
 * @param {Float32Array} latent
 * @param {Float32Array} predicted
 */
export function cleanAndNoise({ isVelocity }, power, latent, predicted) {
  const alpha = Math.sqrt(power), sigma = Math.sqrt(1 - power);
  const clean = new Float32Array(latent.length), noise = new Float32Array(latent.length);
  for (let k = 0; k < latent.length; k++) {
    clean[k] = isVelocity ? alpha * latent[k] - sigma * predicted[k] : (latent[k] - sigma * predicted[k]) / alpha;
    noise[k] = isVelocity ? alpha * predicted[k] + sigma * latent[k] : predicted[k];
  }
  return { clean, noise };
}

/**
 * alpha clean + sigma noise at a power of the signal.
 * @param {number} power
 * @param {Float32Array} clean
 * @param {Float32Array} noise
 */
export function noised(power, clean, noise) {
  const alpha = Math.sqrt(power), sigma = Math.sqrt(Math.max(1 - power, 0));
  return clean.map((x, k) => alpha * x + sigma * noise[k]);
}
