/** The device: decodes what arrives, and runs the parts of a plan that are its own. */

import { digestOf, readCorrection } from "../codecs/correction.js";
import { basisOf, decodeLinear, synthesise } from "../codecs/linear.js";
import { readComponents, readSketch } from "../codecs/digital.js";
import { webpOf } from "../codecs/pictures.js";
import { decodeMatched, decodeRaw } from "../codecs/raw.js";
import { seedInputs } from "../codecs/seed.js";
import { ExactModel, anchorsOf, readSeed } from "../codecs/transform.js";
import { indicesOf } from "../codecs/words.js";
import { readTensors } from "../wire/safetensors.js";
import { draftOf, drafted, passesOf } from "./drafts.js";
import { clamp, enlarge, shrink } from "./images.js";
import { normals } from "./random.js";
import { Files, Graphs } from "./runtime.js";
import { cleanAndNoise, noised, scheduleOf } from "./schedule.js";
import { tokenizerOf } from "./text.js";

/** @typedef {import("../wire/frames.js").Symbols} Symbols */
/** @typedef {import("../wire/frames.js").Bits} Bits */
/** @typedef {{ shape: number[], values: Float32Array }} Planes */
/** @typedef {Record<string, Float32Array>} Tensors */

/**
 * A request as the device knows it.
 * @typedef {Object} Asked
 * @property {string} prompt
 * @property {number} randomSeed
 * @property {Record<string, string>} codecs by what they carry
 * @property {boolean} budgeted whether a number of channel uses was given
 * @property {number} numSteps of the whole sampler
 * @property {number} guidance
 * @property {string} drafting name of the part that drafts; empty where none does
 */

/** @typedef {{ index: number, node: string, part: string, reads: string[], writes: Record<string, number[]> }} Compute */

/** Where the folder of the model lies among the files. */
const MODEL = "model/";

export class Device {
  /**
   * @param {string} base address of the files
   * @param {string} wasm address of the runtime
   * @param {string | null} token
   * @param {(path: string, bytes: number) => void} [watch]
   */
  constructor(base, wasm, token, watch) {
    this.files = new Files(base, token, watch);
    this.graphs = new Graphs(this.files, wasm);
  }

  /** @type {Map<string, Promise<any>>} */
  #kept = new Map();

  /**
   * @template T
   * @param {string} key
   * @param {() => Promise<T>} make
   * @returns {Promise<T>}
   */
  #once(key, make) {
    let made = this.#kept.get(key);
    if (!made) {
      made = make();
      this.#kept.set(key, made);
    }
    return made;
  }

  tokenizer() {
    return this.#once("tokenizer", async () => tokenizerOf(await this.files.json("model/tokenizer/tokenizer.json"),
      (await this.files.json("model/tokenizer/tokenizer_config.json")).model_max_length));
  }

  /** Opens what every picture needs. */
  async warm() {
    const index = await this.files.index;
    await this.graphs.run(MODEL, "decoder", { latent: { shape: [1, ...index.latent], values: new Float32Array(product(index.latent)) } });
  }

  /** Opens what the last steps of a sampler need. */
  async load() {
    await Promise.all(["text_encoder", "unet"].map((name) => this.graphs.open(MODEL, name)));
  }

  #basis() {
    return this.#once("basis", async () => basisOf(readTensors(await this.files.bytes("codecs/linear/basis.safetensors"))));
  }

  /** Entropy model and configuration of a code. @param {"transform" | "correction"} code */
  #exact(code) {
    return this.#once(code, async () => {
      const config = await this.files.json(`codecs/${code}/config.json`);
      const model = new ExactModel(config.shape, readTensors(await this.files.bytes(`codecs/${code}/weights.safetensors`)));
      return { model, config };
    });
  }

  /** Fitted steps of the model. @returns {Promise<import("./drafts.js").Drafts>} */
  #drafts() {
    return this.files.json("drafts.json");
  }

  /**
   * Steps whose passes a draft spends, and the passes, of all drafts that this page can make and correct.
   * @param {number} numSteps of the whole sampler
   * @param {number} guidance of it
   * @returns {Promise<{ cut: number, passes: number }[]>} the dearest first
   */
  async drafts(numSteps, guidance) {
    const { files } = await this.files.index;
    if (!("drafts.json" in files) || !("codecs/correction/corrected.onnx" in files)) return [];
    const drafts = await this.#drafts(), { drafts: known } = await this.files.json("codecs/correction/config.json");
    // Coefficients are fitted to one run alone.
    if (drafts.num_steps !== numSteps || drafts.guidance_scale !== guidance) return [];
    return Object.entries(drafts.steps).filter(([name]) => known.includes(name))
      .map(([name, steps]) => ({ cut: Number(name.slice("fitted-".length)), passes: passesOf(steps) })).sort((a, b) => b.cut - a.cut);
  }

  /**
   * A tensor of what arrived: a latent, a sketch, or a picture that the browser shows by itself.
   * @param {string} kind of the content: seed, midway, sketch, image, correction
   * @param {Symbols | Bits | null} payload
   * @param {number[]} shape
   * @param {Asked} asked
   * @param {number} step of the sampler before which a latent is
   * @returns {Promise<Float32Array | import("../codecs/pictures.js").File | import("../codecs/pictures.js").Plain>}
   */
  async received(kind, payload, shape, asked, step) {
    const codec = (asked.codecs[kind] ?? "").replace(/\(.*/s, "");
    if (payload?.kind === "symbols") return this.#ofSymbols(codec, payload, shape, asked, step);
    const string = payload?.string ?? null;
    switch (codec) {
      case "float32": return string ? new Float32Array(string.slice().buffer) : new Float32Array(product(shape));
      case "digital": {
        const basis = await this.#basis();
        return synthesise(readComponents(string, basis.classes), basis);
      }
      case "transform": case "transform_prompt": return this.#transform(string, codec.endsWith("prompt") ? asked.prompt : null);
      case "residual": return this.#correction(string, shape, asked);
      case "quantized": return readSketch(string, shape[1]);
      case "webp": return string ? webpOf(string, shape[1], asked.budgeted) : { kind: "flat", rgb: [128, 128, 128] };
    }
    throw new Error(`codec: this page does not read ${codec || "it"}; try gainnet ask`);
  }

  /**
   * @param {string} codec
   * @param {Symbols} symbols
   * @param {number[]} shape
   * @param {Asked} asked
   * @param {number} step
   */
  async #ofSymbols(codec, symbols, shape, asked, step) {
    const size = product(shape);
    switch (codec) {
      case "linear": return decodeLinear(symbols, await this.#basis());
      case "seed": case "seed_prompt": return this.#seed(symbols, codec === "seed_prompt" ? asked.prompt : null);
      case "raw": return decodeRaw(symbols, size, await this.#scale(asked, step));
      case "matched": {
        const { values, noise } = decodeMatched(symbols, size - 1, await this.#scale(asked, step));
        return Float32Array.from([...values, noise]);
      }
      case "analog": return clamp(decodeRaw(symbols, size, 0.276).map((x) => x + 0.5));
    }
    throw new Error(`codec: this page does not read ${codec}; try gainnet ask`);
  }

  /** Root mean square of a finished latent; 1 where no components of the model are known, as the edge takes it. */
  async #finished() {
    if (!("codecs/linear/basis.safetensors" in (await this.files.index).files)) return 1;
    const { mean, variances } = await this.#basis();
    let sum = 0;
    for (let k = 0; k < mean.length; k++) sum += mean[k] * mean[k] + variances[k];
    return Math.sqrt(sum / mean.length);
  }

  /** Root mean square of a latent before a step. @param {Asked} asked @param {number} step */
  async #scale(asked, step) {
    const finished = await this.#finished();
    const { powers, times } = await this.#schedule(asked);
    if (step >= times.length) return finished;
    const power = powers[times[step]];
    return Math.hypot(Math.sqrt(power) * finished, Math.sqrt(1 - power));
  }

  /** @param {Asked} asked */
  async #schedule(asked) {
    return scheduleOf(await this.files.json("model/scheduler/scheduler_config.json"), asked.numSteps);
  }

  /** @param {Symbols} symbols @param {string | null} prompt */
  async #seed(symbols, prompt) {
    const { variances, log_powers: powers } = await this.#once("seed", async () =>
      readTensors(await this.files.bytes("codecs/seed/seed_codec.safetensors")));
    const config = await this.files.json("codecs/seed/config.json"), size = variances.values.length;
    const made = seedInputs(symbols, /** @type {Float32Array} */ (variances.values), powers, prompt !== null);
    const words = indicesOf(prompt, config.words, config.max_words);
    /** @param {Float32Array} values */
    const wide = (values) => ({ shape: [1, 2, size], values });
    return this.graphs.run("codecs/seed/", "decoder", {
      turned: wide(made.turned), gain: wide(made.gain), noise: wide(made.noise), amplitudes: wide(made.amplitudes),
      features: { shape: [1, made.features.length], values: made.features },
      num_channel_uses: { shape: [1], values: Float32Array.of(made.uses) },
      scale: { shape: [1], values: Float32Array.of(made.scale) },
      words: { shape: [1, words.length], values: BigInt64Array.from(words, BigInt) },
    });
  }

  /** @param {Uint8Array | null} string @param {string | null} prompt */
  async #transform(string, prompt) {
    const { model, config: { vocabulary: words } } = await this.#exact("transform");
    const meaning = prompt === null || !prompt.trim() ? new Float64Array(model.shape.prompt_width)
      : model.prompt(indicesOf(prompt, words));
    const { level, values } = readSeed(model, string, meaning);
    const condition = Float32Array.from([...anchorsOf(level), ...meaning]);
    return this.graphs.run("codecs/transform/", "synthesis", {
      values: { shape: [1, values.length], values: Float32Array.from(values) },
      condition: { shape: [1, condition.length], values: condition },
    });
  }

  /**
   * What a draft lacks, and behind it the digest of the edge's draft; zeros where nothing arrived.
   * @param {Uint8Array | null} string
   * @param {number[]} shape
   * @param {Asked} asked
   */
  async #correction(string, shape, asked) {
    const sent = new Float32Array(product(shape));
    if (!string) return sent;
    const { model, config } = await this.#exact("correction");
    const { values, digest } = readCorrection(model, string, config.drafts.indexOf(draftOf(asked.drafting, await this.#drafts())));
    sent.set(values);
    sent[values.length] = digest;
    return sent;
  }

  /**
   * The latent of a draft and a correction, and whether the edge's draft is another: 1 or 0.
   * @param {Float32Array} draft
   * @param {Float32Array} sent values and digest
   */
  async #correct(draft, sent) {
    const { latent: shape } = await this.files.index, values = sent.slice(0, -1), digest = sent[sent.length - 1];
    const latent = await this.graphs.run("codecs/correction/", "corrected", {
      draft: { shape: [1, ...shape], values: draft }, values: { shape: [1, values.length], values },
    });
    return { latent, draft_differs: Float32Array.of(digest && digest !== digestOf(draft) ? 1 : 0) };
  }

  /**
   * Runs one part of the plan.
   * @param {Compute} step
   * @param {Tensors} at what the device holds, which is added to
   * @param {Asked} asked
   * @param {(done: number, of: number) => void} watch passes of a denoiser
   */
  async compute(step, at, asked, watch = () => {}) {
    const [name, from, to] = step.part.split(/[[\]:]/), reads = step.reads.map((key) => at[key]);
    const [write] = Object.keys(step.writes), index = await this.files.index, side = index.image[1];
    switch (name) {
      case "text_encoder": at[write] = await this.#condition(asked); return;
      case "decoder": at[write] = await this.#decode(reads[0]); return;
      case "image_encoder": at[write] = await this.#encode(reads[0]); return;
      case "prior": at[write] = normals(asked.randomSeed, ["prior"], product(index.latent)); return;
      case "corrected": Object.assign(at, await this.#correct(at.draft, at.correction)); return;
      case "denoiser": if (step.part === asked.drafting) at[write] = await this.#draft(at, step, asked, watch);
        else at[write] = await this.#denoise(at, step, asked, Number(from), Number(to), watch); return;
      case "hand-over": at[write] = await this.#handOver(at, step, asked, Number(from), Number(to), watch); return;
      case "enlarge": at[write] = clamp(enlarge(reads[0], Math.round(Math.sqrt(reads[0].length / 3)), side / Math.round(Math.sqrt(reads[0].length / 3)))); return;
      case "keep to sketch": at[write] = keepTo(at.image, at.sketch, side); return;
    }
    const schedule = await this.#schedule(asked), power = schedule.powers[schedule.times[Number(from)]];
    if (name === "noising") {
      at[write] = noised(power, reads[0], normals(asked.randomSeed, ["completing", "prior"], reads[0].length));
    } else if (name === "predict") {
      // Completing is guided by the sketch: the branch of the prompt alone runs.
      const condition = at.condition.subarray(at.condition.length / 2);
      const predicted = await this.#unet(at.latent, schedule.times[Number(from)], condition);
      Object.assign(at, cleanAndNoise(schedule, power, at.latent, predicted));
    } else if (name === "advance") {
      at[write] = noised(power, at.clean, at.noise);
    } else throw new Error(`plan: this page does not know the part ${name}; try gainnet ask`);
  }

  /** Both branches, without the prompt and with it. @param {Asked} asked */
  async #condition(asked) {
    const tokenizer = await this.tokenizer(), rows = ["", asked.prompt].map((text) => tokenizer.tokens(text));
    return this.graphs.run(MODEL, "text_encoder", {
      tokens: { shape: [2, rows[0].length], values: BigInt64Array.from(rows.flat(), BigInt) },
    });
  }

  /** @param {Float32Array} latent */
  async #decode(latent) {
    const { latent: shape } = await this.files.index;
    const pixels = await this.graphs.run(MODEL, "decoder", { latent: { shape: [1, ...shape], values: latent } });
    return clamp(pixels.map((x) => x / 2 + 0.5));
  }

  /** PSNR in dB of what the autoencoder alone makes of a picture; `null` when exact. @param {Float32Array} image [3, H, W], in [0, 1] */
  async kept(image) {
    const made = await this.#decode(await this.#encode(image));
    const mse = made.reduce((sum, x, k) => sum + (x - image[k]) ** 2, 0) / image.length;
    return mse ? -10 * Math.log10(mse) : null;
  }

  /** @param {Float32Array} image */
  async #encode(image) {
    const { image: shape } = await this.files.index;
    return this.graphs.run(MODEL, "image_encoder", { pixels: { shape: [1, ...shape], values: image.map((x) => 2 * x - 1) } });
  }

  /**
   * The prediction of the UNet, of as many copies of a latent as there are conditions.
   * @param {Float32Array} latent
   * @param {number} time
   * @param {Float32Array} condition [copies, tokens, width]
   */
  async #unet(latent, time, condition) {
    const { latent: shape } = await this.files.index;
    const tokens = (await this.tokenizer()).tokens("").length;
    const { inputs } = (await this.files.json("model/onnx.json")).parts.unet, width = inputs.condition[1];
    const copies = condition.length / (tokens * width), sample = new Float32Array(copies * latent.length);
    for (let k = 0; k < copies; k++) sample.set(latent, k * latent.length);
    return this.graphs.run(MODEL, "unet", {
      sample: { shape: [copies, ...shape], values: sample },
      timestep: { shape: [copies], values: new Float32Array(copies).fill(time) },
      condition: { shape: [copies, tokens, width], values: condition },
    });
  }

  /** Guided prediction. @param {Float32Array} latent @param {number} time @param {Float32Array} condition @param {number} guidance */
  async #guided(latent, time, condition, guidance) {
    if (guidance <= 1) return this.#unet(latent, time, condition.subarray(condition.length / 2));
    const both = await this.#unet(latent, time, condition), size = latent.length;
    return latent.map((_, k) => both[k] + guidance * (both[size + k] - both[k]));
  }

  /** @param {Tensors} at @param {Compute} step @param {Asked} asked @param {(done: number, of: number) => void} watch */
  async #draft(at, step, asked, watch) {
    const drafts = await this.#drafts(), name = draftOf(step.part, drafts), { condition } = at;
    if (name === null) throw new Error("plan: this page does not know the steps of this draft; try gainnet ask");
    return drafted(drafts.steps[name], await this.#schedule(asked), at[step.reads.find((key) => key !== "condition") ?? "latent"], async (latent, time, guided) => {
      if (!guided) return [await this.#unet(latent, time, condition.subarray(condition.length / 2))];
      const both = await this.#unet(latent, time, condition);
      return [both.slice(0, latent.length), both.slice(latent.length)];
    }, watch);
  }

  /**
   * @param {Tensors} at @param {Compute} step @param {Asked} asked
   * @param {number} from @param {number} to @param {(done: number, of: number) => void} watch
   */
  async #denoise(at, step, asked, from, to, watch) {
    const schedule = await this.#schedule(asked), stride = Math.floor(schedule.powers.length / asked.numSteps);
    let latent = at[step.reads.find((key) => key !== "condition") ?? "latent"];
    for (let k = from; k < to; k++) {
      const time = schedule.times[k], before = time - stride;
      const predicted = await this.#guided(latent, time, at.condition, asked.guidance);
      const { clean, noise } = cleanAndNoise(schedule, schedule.powers[time], latent, predicted);
      latent = noised(before >= 0 ? schedule.powers[before] : schedule.final, clean, noise);
      watch(k - from + 1, to - from);
    }
    return latent;
  }

  /**
   * The rest of a sampler, resumed at the noise level that the received latent really has.
   * @param {Tensors} at @param {Compute} step @param {Asked} asked
   * @param {number} from @param {number} to @param {(done: number, of: number) => void} watch
   */
  async #handOver(at, step, asked, from, to, watch) {
    const handed = at[step.reads.find((key) => key !== "condition") ?? "handed"], noise = handed[handed.length - 1];
    const schedule = await this.#schedule(asked), { powers, times } = schedule, signal = powers[times[from]];
    const matched = signal / (1 + noise);
    const resumed = powers.reduce((best, p, t) => (Math.abs(p - matched) < Math.abs(powers[best] - matched) ? t : best), 0);
    const factor = Math.sqrt((1 - powers[resumed]) / (1 - signal + noise)), stretch = (resumed + 1) / (times[from] + 1);
    const own = times.slice(from, to).map((time) => Math.max(Math.round((time + 1) * stretch) - 1, 0));
    let latent = handed.slice(0, -1).map((x) => x * factor);
    for (let k = 0; k < own.length; k++) {
      const predicted = await this.#guided(latent, own[k], at.condition, asked.guidance);
      const parts = cleanAndNoise(schedule, powers[own[k]], latent, predicted);
      latent = noised(k + 1 < own.length ? powers[own[k + 1]] : schedule.final, parts.clean, parts.noise);
      watch(k + 1, own.length);
    }
    return latent;
  }
}

/** @param {number[]} shape */
export function product(shape) {
  return shape.reduce((a, b) => a * b, 1);
}

/**
 * A picture moved so that its own sketch is the one that was received.
 * @param {Float32Array} image @param {Float32Array} sketch @param {number} side
 */
function keepTo(image, sketch, side) {
  const small = Math.round(Math.sqrt(sketch.length / 3)), own = shrink(image, side, side / small);
  const missing = enlarge(sketch.map((x, k) => x - own[k]), small, side / small);
  return clamp(image.map((x, k) => x + missing[k]));
}
