/** Numbers and steps for people. */

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1e-3) return `${(seconds * 1e6).toFixed(0)} µs`;
  return seconds < 1 ? `${(seconds * 1e3).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`;
}

/** @param {number | null | undefined} joules */
export function energy(joules) {
  if (joules === null || joules === undefined) return "–";
  if (joules < 1e-3) return `${(joules * 1e6).toPrecision(3)} µJ`;
  return joules < 1 ? `${(joules * 1e3).toPrecision(3)} mJ` : `${joules.toPrecision(3)} J`;
}

/** @param {number} value */
export function whole(value) {
  return Math.round(value).toLocaleString("en");
}

/** @param {number | null | undefined} decibels */
export function psnr(decibels) {
  return decibels === undefined ? "–" : decibels === null ? "exact" : `${decibels.toFixed(1)} dB`;
}

/**
 * How much of what a prompt names is in a picture, and in the unsplit one where that is another number.
 * @param {{ prompt_fidelity?: number | null, reference_fidelity?: number | null }} found
 */
export function fidelity({ prompt_fidelity: own, reference_fidelity: unsplit }) {
  if (own === null || own === undefined || unsplit === null || unsplit === undefined) return "not judged";
  return own.toFixed(2) === unsplit.toFixed(2) ? own.toFixed(2) : `${own.toFixed(2)} (unsplit ${unsplit.toFixed(2)})`;
}

const PARTS = /** @type {Record<string, string>} */ ({
  prior: "draws the noise", text_encoder: "reads the prompt", decoder: "decodes the picture", image_encoder: "encodes a picture",
  enlarge: "enlarges the sketch", noising: "adds noise", predict: "predicts the picture", "keep to sketch": "keeps to the sketch",
  residual: "takes what the draft lacks", corrected: "corrects its draft", advance: "steps on", "hand down": "hands the latent down", "picture sketch": "draws a sketch",
});

/**
 * A step of a plan: who, and what.
 * @param {any} step
 * @returns {{ who: "edge" | "air" | "device", text: string }}
 */
export function said(step) {
  if (step.targets) {
    const what = step.tensor === "prompt" ? "the prompt" : step.tensor.startsWith("image") ? "the picture"
      : step.tensor.startsWith("sketch") ? "the sketch" : step.tensor === "correction" ? "the correction" : /\[/.test(step.tensor) ? "an unfinished seed" : "the seed";
    return { who: "air", text: `${what} goes to the ${step.targets[0]}` };
  }
  const [name, from, to] = step.part.split(/[[\]:]/), who = step.node === "device" ? "device" : "edge";
  if (step.writes && "draft" in step.writes) return { who, text: `${step.node} drafts, ${parseInt(from)} passes of the denoiser` };
  if (name === "denoiser" || name === "hand-over") return { who, text: `${step.node} denoises, ${Number(to) - Number(from)} steps` };
  if (name.startsWith("choice")) return { who, text: `${step.node} chooses the best picture` };
  return { who, text: `${step.node} ${PARTS[name] ?? name}` };
}
