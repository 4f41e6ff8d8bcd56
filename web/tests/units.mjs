/**
 * What the page's modules make of cases: node units.mjs TOKENIZER WORDPIECES < CASES. All are JSON, with bytes in base64:
 * {"sha256": [bytes], "normals": [{seed, names, count}], "tokens": [prompt], "words": [word], "frames": [bytes],
 * "basis": bytes, "corrections": {folder, draft, streams: [bytes]}, "drafts": [[number]]}
 */

import { readFileSync } from "node:fs";
import { digestOf, readCorrection } from "../src/codecs/correction.js";
import { basisOf } from "../src/codecs/linear.js";
import { ExactModel } from "../src/codecs/transform.js";
import { normals } from "../src/model/random.js";
import { tokenizerOf } from "../src/model/text.js";
import { unknownTo } from "../src/model/vocabulary.js";
import { readContent, readFrame, writeFrame } from "../src/wire/frames.js";
import { readTensors, writeTensors } from "../src/wire/safetensors.js";
import { sha256 } from "../src/wire/sha256.js";

const cases = JSON.parse(readFileSync(0, "utf8")), tokenizer = tokenizerOf(JSON.parse(readFileSync(process.argv[2], "utf8")), 24);
const pieces = tokenizerOf(JSON.parse(readFileSync(process.argv[3], "utf8")), 18);
const known = { name: "", base: "", domain: "", words: new Set(cases.words) };
/** @param {string} text */
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));

console.log(JSON.stringify({
  sha256: cases.sha256.map((text) => sha256(bytes(text))),
  normals: cases.normals.map(({ seed, names, count }) => [...normals(seed, names, count)]),
  tokens: cases.tokens.map((prompt) => ({ tokens: tokenizer.tokens(prompt), pieces: pieces.tokens(prompt), unknown: unknownTo(prompt, known) })),
  frames: cases.frames.map((text) => {
    const frame = readFrame(bytes(text)), { kind, head, body } = frame;
    // What is written again is read as the same frame, although JavaScript writes 5.0 as 5.
    const again = readFrame(writeFrame(kind, head, body));
    const same = JSON.stringify([again.kind, again.head, [...again.body]]) === JSON.stringify([kind, head, [...body]]);
    const content = kind === "content" ? readContent(frame) : null;
    return { kind, head, same, count: content?.count ?? null, values: content?.values ? [...content.values] : null };
  }),
  corrections: (() => {
    const { folder, draft, streams } = cases.corrections, config = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
    const model = new ExactModel(config.shape, readTensors(readFileSync(`${folder}/weights.safetensors`)));
    return streams.map((/** @type {string} */ text) => {
      const { values, digest } = readCorrection(model, bytes(text), config.drafts.indexOf(draft));
      return [...values, digest];
    });
  })(),
  drafts: cases.drafts.map(digestOf),
  basis: [...basisOf(readTensors(bytes(cases.basis))).basis],
  picture: (() => {
    const values = Uint8Array.from({ length: 12 }, (_, k) => 20 * k);
    const { picture } = readTensors(writeTensors({ picture: { shape: [3, 2, 2], values } }));
    return { shape: picture.shape, same: picture.values.every((x, k) => x === values[k]) };
  })(),
}));
