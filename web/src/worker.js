/** The device in a thread of its own, so that the page stays alive while a network runs. */

import { Device } from "./model/device.js";
import { suited, unknownTo } from "./model/vocabulary.js";

/** @type {Device} */
let device;
/** @type {(base: string) => Device} one per model, by where its files lie */
let at;
/** @type {Promise<import("./model/vocabulary.js").Known[]>} */
let models;

/** Models of the edge with their words; one that states none knows every word. @param {any} index */
async function read(index) {
  const listed = /** @type {{ name: string, base: string }[]} */ (index.models ?? [{ name: index.model, base: "" }]);
  return Promise.all(listed.map(async ({ name, base }) => {
    const files = at(base).files, states = "model/vocabulary.json" in (await files.index).files;
    const { domain, words } = states ? await files.json("model/vocabulary.json") : { domain: "", words: null };
    return { name, base, domain, words: words ? new Set(words) : /** @type {any} */ ({ has: () => true }) };
  }));
}

/** @type {Record<string, (...given: any[]) => Promise<any>>} */
const calls = {
  /** @param {string} base @param {string} wasm @param {string | null} token */
  async start(base, wasm, token) {
    /** @type {Map<string, Device>} */
    const devices = new Map();
    at = (place) => {
      const known = devices.get(place) ?? new Device(base + place, wasm, token, (path, bytes) => self.postMessage({ event: "fetched", path, bytes }));
      devices.set(place, known);
      return known;
    };
    device = at("");
    models = device.files.index.then(read);
    return device.files.index;
  },
  /** Makes a model the one that computes. @param {string} name */
  async use(name) {
    const found = (await models).find((each) => each.name === name);
    device = at(found?.base ?? "");
    return device.files.index;
  },
  warm: () => device.warm(),
  load: () => device.load(),
  drafts: (/** @type {number} */ numSteps, /** @type {number} */ guidance) => device.drafts(numSteps, guidance),
  async words(/** @type {string} */ prompt) {
    const known = suited(prompt, await models);
    return { model: known.name, domain: known.domain, unknown: unknownTo(prompt, known), words: known.words instanceof Set ? [...known.words] : [] };
  },
  kept: (/** @type {{ values: Uint8Array }} */ photo) => device.kept(Float32Array.from(photo.values, (x) => x / 255)),
  received: (...given) => /** @type {any} */ (device).received(...given),
  async compute(step, at, asked) {
    const watch = (/** @type {number} */ done, /** @type {number} */ of) => self.postMessage({ event: "pass", index: step.index, done, of });
    const begin = performance.now();
    await device.compute(step, at, asked, watch);
    const [write] = Object.keys(step.writes);
    return { at, image: write === "image", seconds: (performance.now() - begin) / 1000 };
  },
};

self.onmessage = async ({ data: { id, call, given } }) => {
  try {
    self.postMessage({ id, value: await calls[call](...given) });
  } catch (error) {
    self.postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
};
