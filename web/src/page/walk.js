/** The device's walk over a plan: what an edge sends is received, and the parts of the device run in their order. */

import { readContent, readFrame, writeFrame } from "../wire/frames.js";
import { writeTensors } from "../wire/safetensors.js";
import { fitting } from "./provenance.js";

/** @typedef {import("../model/device.js").Asked} Asked */
/** @typedef {import("../wire/frames.js").Frame} Frame */
/** @typedef {import("./provenance.js").Receipt} Receipt */

/**
 * A request.
 * @typedef {Object} Order
 * @property {Record<string, any>} config fields of the configuration
 * @property {number | null} strength of image-to-image
 * @property {{ shape: number[], values: Uint8Array } | null} picture of the device, [3, H, W]
 * @property {string} key public key of the device, base64, which the receipt will name
 */

/**
 * What the page is told on the way.
 * @typedef {Object} Watch
 * @property {(steps: any[]) => void} planned
 * @property {(index: number, done: number, of: number) => void} stepped
 * @property {(content: import("../wire/frames.js").Symbols | import("../wire/frames.js").Bits | null, usage: any, step: any) => void} arrived
 * @property {(index: number, seconds: number) => void} computed
 */

/** The connection ended; the same request may be asked again over another one. */
export class GoneError extends Error {}

/** One connection to an edge; requests go over it one after the other. */
export class Connection {
  /** @type {((frame: Frame) => void) | null} */
  #listener = null;
  /** @type {((error: Error) => void) | null} */
  #failed = null;

  /**
   * @param {string} address of the WebSocket
   * @param {string | null} token
   * @param {string | null} model of the edge's; its first when `null`
   */
  constructor(address, token, model = null) {
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    /** @type {Promise<Record<string, any>>} */
    this.hello = new Promise((resolve, reject) => {
      this.#failed = reject;
      this.socket.onopen = () => this.socket.send(writeFrame("hello", { role: "device", name: "page", runtime: "onnx", ...(model ? { model } : {}), ...(token ? { token } : {}) }));
      this.socket.onclose = () => this.#fail(new GoneError("the edge closed the connection"));
      this.socket.onerror = () => this.#fail(new GoneError("the edge cannot be reached"));
      this.socket.onmessage = ({ data }) => {
        try {
          const frame = readFrame(new Uint8Array(data));
          if (frame.kind === "error") return this.#fail(new Error(frame.head.message));
          if (frame.kind === "hello") return resolve(frame.head);
          this.#listener?.(frame);
        } catch (error) {
          this.#fail(/** @type {Error} */ (error));
        }
      };
    });
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  /** @param {Error} error */
  #fail(error) {
    this.#failed?.(error);
  }

  /**
   * Asks for a picture and walks its plan.
   * @param {Order} order
   * @param {import("./brain.js").Brain} brain
   * @param {Watch} watch
   * @param {string} request its name; one that was asked before gives the same picture
   * @returns {Promise<{ tensors: Record<string, any>, report: any, released: number, late: number, passes: number, receipt: Receipt | null }>}
   */
  async run(order, brain, watch, request) {
    const hello = await this.hello;
    /** @type {Frame[]} */
    const queue = [];
    /** @type {(() => void) | null} */
    let wake = null;
    /** @type {Error | null} */
    let broken = null;
    this.#listener = (frame) => {
      if (frame.head.request !== request) return;
      queue.push(frame);
      wake?.();
    };
    this.#failed = (error) => {
      broken = error;
      wake?.();
    };
    const next = async () => {
      while (!queue.length) {
        if (broken) throw broken;
        await new Promise((resolve) => { wake = () => resolve(undefined); });
      }
      return /** @type {Frame} */ (queue.shift());
    };
    const body = order.picture ? writeTensors({ picture: order.picture }) : undefined;
    this.socket.send(writeFrame("request", { request, config: order.config, strength: order.strength, air: "edge", key: order.key }, body));
    const walk = new Walk(order, hello, brain, watch);
    for (;;) {
      const frame = await next();
      if (frame.kind === "failure") throw new Error("an edge died on the way; ask again");
      await walk.take(frame);
      if (walk.isOver) break;
    }
    this.socket.send(writeFrame("bye", { request }));
    return walk.result;
  }
}

class Walk {
  /** @type {any[]} */
  #steps = [];
  #at = 0;
  /** @type {Map<number, Frame>} */
  #contents = new Map();
  /** @type {Record<string, any>} */
  #tensors = {};
  /** @type {Record<string, any> | null} */
  #report = null;
  /** @type {Uint8Array[]} */
  #bodies = [];
  #model;
  /** @type {Asked} */
  #asked;

  /**
   * @param {Order} order
   * @param {Record<string, any>} hello
   * @param {import("./brain.js").Brain} brain
   * @param {Watch} watch
   */
  constructor({ config }, hello, brain, watch) {
    this.brain = brain;
    this.watch = watch;
    this.#model = hello.sha256;
    this.#asked = {
      prompt: config.prompts[0], randomSeed: config.random_seed ?? 0, codecs: {},
      budgeted: config.num_channel_uses !== undefined, numSteps: config.num_steps ?? hello.num_steps,
      guidance: config.guidance_scale ?? hello.guidance_scale, drafting: "",
    };
  }

  get isOver() {
    return this.#report !== null && this.#steps.length > 0 && this.#at === this.#steps.length;
  }

  get result() {
    const { report, released, late, num_denoiser_passes: passes, receipt } = this.#report ?? {};
    return { tensors: this.#tensors, report, released, late, passes, receipt: fitting(receipt, this.#bodies, this.#model) };
  }

  /** @param {Frame} frame */
  async take(frame) {
    const { kind, head } = frame;
    if (kind === "accepted") {
      this.#steps = head.steps;
      this.#asked.codecs = head.codecs ?? {};
      this.#asked.drafting = head.steps.find((/** @type {any} */ step) => step.writes && "draft" in step.writes)?.part ?? "";
      this.watch.planned(head.steps);
    } else if (kind === "progress") {
      this.watch.stepped(head.index, head.step ?? 1, head.num_steps ?? 1);
    } else if (kind === "content") {
      this.#contents.set(head.index, frame);
      this.#bodies.push(frame.body);
    } else if (kind === "report") {
      this.#report = head;
    }
    await this.#advance();
  }

  async #advance() {
    while (this.#at < this.#steps.length) {
      const step = this.#steps[this.#at];
      if (step.targets) {
        if (step.targets.includes("device")) {
          const frame = this.#contents.get(step.index);
          if (!frame) return;
          await this.#receive(step, frame);
        }
      } else if (step.node === "device" && step.reads.every((/** @type {string} */ key) => this.#has(step, key))) {
        const { at, seconds } = await this.brain.ask("compute", step, this.#tensors, this.#asked);
        this.#tensors = at;
        this.watch.computed(step.index, seconds);
      }
      this.#at++;
    }
  }

  /**
   * The page has no tensor of the prompt, which it knows anyway; what it misses was played by the edge.
   * @param {any} step @param {string} key
   */
  #has(step, key) {
    return key in this.#tensors || (key === "prompt" && step.role === "text_encoder");
  }

  /** @param {any} step @param {Frame} frame */
  async #receive(step, frame) {
    const content = readContent(frame);
    this.watch.arrived(content, frame.head.usage, step);
    const kind = kindOf(step, this.#asked.codecs);
    const before = Number(/\[(\d+)\]/.exec(step.tensor)?.[1] ?? Infinity);
    const name = step.arrives_as ?? step.tensor;
    this.#tensors[name] = await this.brain.ask("received", kind, content, step.shape, this.#asked, before);
  }
}

/**
 * What a transfer carries: a tensor between two steps has the index of the next one in its name.
 * @param {any} step @param {Record<string, string>} codecs
 */
function kindOf(step, codecs) {
  if (step.tensor.startsWith("image")) return "image";
  if (step.tensor.startsWith("sketch")) return "sketch";
  if (step.tensor === "correction") return "correction";
  return /\[\d+\]/.test(step.tensor) && "midway" in codecs ? "midway" : "seed";
}

/** A name for a request. */
export function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
