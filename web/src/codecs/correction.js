/**
 * Corrections of drafts: level, class and values in a stream that ends at the digest of the sender's draft. The same
 * numbers as gainnet/codecs/correction/stream.py.
 */

import { crc32 } from "../wire/crc32.js";
import { StreamReader } from "./entropy.js";
import { uniform } from "./tables.js";
import { readValues } from "./transform.js";

/** Levels of the transform code that a level of corrections spans. */
const SPAN = 4;
const NUM_LEVELS = 32, NUM_CLASSES = 8, DIGEST_BITS = 16n;
const LEVELS = uniform(NUM_LEVELS), CLASSES = uniform(NUM_CLASSES);
const NUM_DIGESTS = 2 ** 16 - 1, LARGEST = 2 ** 31;

/**
 * Values and digest of a stream.
 * @param {import("./transform.js").ExactModel} model
 * @param {Uint8Array} string
 * @param {number} draft its place among those that the weights were trained on
 */
export function readCorrection(model, string, draft) {
  const reader = new StreamReader(string), level = reader.take(LEVELS);
  // In the place of a prompt the model knows how much the draft lacks, and which one it is.
  const hints = new Float64Array(model.shape.prompt_width);
  hints[reader.take(CLASSES)] = hints[NUM_CLASSES + draft] = 1;
  const { values } = readValues(model, reader, model.sideInformation(SPAN * level, hints)), rest = reader.rest();
  if (rest === null || rest >> DIGEST_BITS !== 1n) throw new Error("correction: the payload is corrupt, it does not end at a digest");
  return { values, digest: Number(rest & ((1n << DIGEST_BITS) - 1n)) };
}

/**
 * Digest of a draft's coarse integers, from 1 on, by which two ends see whether they have the same one.
 * @param {ArrayLike<number>} draft
 */
export function digestOf(draft) {
  const integers = Int32Array.from(draft, (x) => Math.min(Math.max(nearest(x), -LARGEST), LARGEST - 1));
  const bytes = new Uint8Array(4 * integers.length), view = new DataView(bytes.buffer);
  integers.forEach((x, k) => view.setInt32(4 * k, x, true));
  // 0 is kept for a correction that did not arrive.
  return 1 + (crc32(bytes) % NUM_DIGESTS);
}

/** The nearest integer, of two the even one, as torch rounds. @param {number} x */
function nearest(x) {
  const below = Math.floor(x), rest = x - below;
  return rest === 0.5 ? below + Math.abs(below % 2) : Math.round(x);
}
