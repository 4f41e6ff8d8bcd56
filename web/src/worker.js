/** The device in a thread of its own, so that the page stays alive while a network runs. */

import { Device } from "./model/device.js";

/** @type {Device} */
let device;

/** @type {Record<string, (...given: any[]) => Promise<any>>} */
const calls = {
  /** @param {string} base @param {string} wasm @param {string | null} token */
  async start(base, wasm, token) {
    device = new Device(base, wasm, token, (path, bytes) => self.postMessage({ event: "fetched", path, bytes }));
    return device.files.index;
  },
  warm: () => device.warm(),
  load: () => device.load(),
  async words(/** @type {string} */ prompt) {
    const tokenizer = await device.tokenizer();
    return { unknown: tokenizer.unknown(prompt), known: tokenizer.known };
  },
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
