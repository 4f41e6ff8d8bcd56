/** Frames of the device protocol, byte by byte as in docs/device-protocol.md. */

import { readTensors } from "./safetensors.js";

const MAGIC = [103, 110, 101, 116]; // gnet
export const VERSION = 1;
export const KINDS = /** @type {const} */ ([
  "hello", "request", "accepted", "progress", "content", "report", "failure", "error", "bye",
]);
const MOST_BYTES = 2 ** 26;
const HEADER = 16;

/** @typedef {(typeof KINDS)[number]} Kind */
/** @typedef {Record<string, any>} Head */

/**
 * @typedef {Object} Frame
 * @property {Kind} kind
 * @property {Head} head
 * @property {Uint8Array} body
 */

/**
 * A frame as bytes.
 * @param {Kind} kind
 * @param {Head} head
 * @param {Uint8Array} [body]
 */
export function writeFrame(kind, head, body = new Uint8Array()) {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(HEADER + length + body.length).fill(32, HEADER, HEADER + length);
  bytes.set(MAGIC);
  bytes[4] = VERSION;
  bytes[5] = KINDS.indexOf(kind) + 1;
  const view = new DataView(bytes.buffer);
  view.setUint32(8, length, true);
  view.setUint32(12, body.length, true);
  bytes.set(text, HEADER);
  bytes.set(body, HEADER + length);
  return bytes;
}

/**
 * The frame that bytes are.
 * @param {Uint8Array} bytes
 * @returns {Frame}
 */
export function readFrame(bytes) {
  if (bytes.length < HEADER || bytes.length > MOST_BYTES || MAGIC.some((byte, k) => bytes[k] !== byte)) {
    throw new Error("frame: it does not begin as one");
  }
  if (bytes[4] !== VERSION) throw new Error(`frame: version ${bytes[4]} is not spoken here; load the page again`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(8, true), rest = view.getUint32(12, true);
  const kind = KINDS[bytes[5] - 1];
  if (!kind || HEADER + length + rest !== bytes.length) throw new Error("frame: its lengths do not fit it");
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(HEADER, HEADER + length)));
  return { kind, head, body: bytes.subarray(HEADER + length) };
}

/**
 * @typedef {Object} Symbols
 * @property {"symbols"} kind
 * @property {number} count symbols per item
 * @property {Float32Array | Float64Array} values [count, 2], real and imaginary part
 * @property {Float32Array | Float64Array} gain [count, 2]
 * @property {Float32Array | Float64Array} noise [count], variance
 * @property {number} snr reported, linear
 */

/** @typedef {{ kind: "bits", string: Uint8Array | null }} Bits */

/**
 * The first item of a frame of content; `null` when its source never had the tensor.
 * @param {Frame} frame
 * @returns {Symbols | Bits | null}
 */
export function readContent({ head, body }) {
  if (head.payload === "none") return null;
  const tensors = readTensors(body);
  if (head.payload === "bits") {
    const length = head.lengths[0];
    return { kind: "bits", string: length === null ? null : /** @type {Uint8Array} */ (
      tensors.strings?.values.slice(0, length) ?? new Uint8Array()) };
  }
  const values = /** @type {Float32Array} */ (tensors.values.values);
  const gain = /** @type {Float32Array} */ (tensors.gain.values);
  const noise = /** @type {Float32Array} */ (tensors.noise_variance.values);
  const count = tensors.values.shape.at(-2) ?? 0;
  // Where no report goes along, the SNR is that of the first symbol.
  const snr = tensors.reported_snr ? tensors.reported_snr.values[0] : (gain[0] ** 2 + gain[1] ** 2) / noise[0];
  return {
    kind: "symbols", count, snr,
    values: values.slice(0, 2 * count), gain: gain.slice(0, 2 * count), noise: noise.slice(0, count),
  };
}
