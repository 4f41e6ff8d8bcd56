/** onnxruntime-web on one thread, and the files of a device, each checked by its digest. */

import * as ort from "onnxruntime-web/wasm";
import { sha256 } from "../wire/sha256.js";

/** @typedef {{ graph: string, weights: string, inputs: Record<string, number[]>, outputs: string[] }} Part */
/** @typedef {{ model: string, model_sha256: string, latent: number[], image: number[], files: Record<string, { sha256: string, num_bytes: number }> }} Index */
/** @typedef {Record<string, Float32Array | number[] | number | BigInt64Array>} Fed */

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

/** Files of a device at an edge; whatever was fetched once is kept. */
export class Files {
  /** @type {Map<string, Promise<Uint8Array>>} */
  #fetched = new Map();

  /**
   * @param {string} base address of the folder, with a slash at the end
   * @param {string | null} token of the edge, where it asks for one
   * @param {(path: string, bytes: number) => void} watch called when a file is there
   */
  constructor(base, token = null, watch = () => {}) {
    this.base = base;
    this.headers = token ? { Authorization: `Bearer ${token}` } : undefined;
    this.watch = watch;
    /** @type {Promise<Index>} */
    this.index = this.#get("device.json").then((bytes) => JSON.parse(new TextDecoder().decode(bytes)));
  }

  /** @param {string} path */
  async #get(path) {
    const answer = await fetch(this.base + path, { headers: this.headers });
    if (!answer.ok) throw new Error(`${path}: the edge answered ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  /**
   * @param {string} path
   * @returns {Promise<Uint8Array>}
   */
  bytes(path) {
    let fetched = this.#fetched.get(path);
    if (!fetched) {
      fetched = this.#checked(path);
      this.#fetched.set(path, fetched);
    }
    return fetched;
  }

  /** @param {string} path */
  async #checked(path) {
    const entry = (await this.index).files[path];
    if (!entry) throw new Error(`${path}: this edge has no such file`);
    const bytes = await this.#get(path);
    if (sha256(bytes) !== entry.sha256) throw new Error(`${path}: what came is not what the edge lists`);
    this.watch(path, bytes.length);
    return bytes;
  }

  /** @param {string} path */
  async json(path) {
    return JSON.parse(new TextDecoder().decode(await this.bytes(path)));
  }
}

/** Graphs, opened when they are first run. */
export class Graphs {
  /** @type {Map<string, Promise<ort.InferenceSession>>} */
  #sessions = new Map();
  /** @type {Promise<void> | undefined} */
  #started;

  /**
   * @param {Files} files
   * @param {string} wasm address of the binary
   */
  constructor(files, wasm) {
    this.files = files;
    this.wasm = wasm;
  }

  async #start() {
    const answer = await fetch(this.wasm);
    if (!answer.ok) throw new Error(`${this.wasm}: the edge answered ${answer.status}`);
    ort.env.wasm.wasmBinary = await answer.arrayBuffer();
    // As it came over the network, compressed.
    const came = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByName(answer.url)).at(-1);
    this.files.watch("ort.wasm", came?.encodedBodySize ?? 0);
  }

  /**
   * Opens a graph, so that its first run does not wait.
   * @param {string} folder of the manifest, with a slash at the end
   * @param {string} name of the part
   */
  open(folder, name) {
    const key = `${folder}${name}`;
    let session = this.#sessions.get(key);
    if (!session) {
      session = this.#open(folder, name);
      this.#sessions.set(key, session);
    }
    return session;
  }

  /** @param {string} folder @param {string} name */
  async #open(folder, name) {
    await (this.#started ??= this.#start());
    /** @type {Part} */
    const part = (await this.files.json(`${folder}onnx.json`)).parts[name];
    const [graph, weights] = await Promise.all([part.graph, part.weights].map((path) => this.files.bytes(folder + path)));
    // The graph names the file of its weights; it has to find it under that name.
    const place = part.weights.slice(part.weights.lastIndexOf("/") + 1);
    return ort.InferenceSession.create(graph, {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      externalData: [{ path: place, data: weights }],
    });
  }

  /**
   * The output of a graph for one batch.
   * @param {string} folder
   * @param {string} name
   * @param {Record<string, { shape: number[], values: Float32Array | BigInt64Array }>} inputs
   * @returns {Promise<Float32Array>}
   */
  async run(folder, name, inputs) {
    const session = await this.open(folder, name);
    /** @type {Record<string, ort.Tensor>} */
    const fed = {};
    for (const [key, { shape, values }] of Object.entries(inputs)) {
      fed[key] = values instanceof BigInt64Array ? new ort.Tensor("int64", values, shape) : new ort.Tensor("float32", values, shape);
    }
    const found = await session.run(fed);
    const output = found[session.outputNames[0]];
    return Float32Array.from(/** @type {Float32Array} */ (output.data));
  }
}
