/**
 * Compares what the page reads in golden streams with what Python read: node golden.mjs CODEC_FOLDER GOLDEN [COUNT]
 * Prints one JSON object: {"streams": ..., "different": ...}.
 */

import { readFileSync } from "node:fs";
import { ExactModel, readSeed } from "../src/codecs/transform.js";
import { checked } from "../src/codecs/entropy.js";
import { indicesOf } from "../src/codecs/words.js";
import { readTensors } from "../src/wire/safetensors.js";
import { sha256 } from "../src/wire/sha256.js";

const [folder, golden, count] = process.argv.slice(2);
const config = JSON.parse(readFileSync(`${folder}/config.json`, "utf8"));
const model = new ExactModel(config.shape, readTensors(readFileSync(`${folder}/weights.safetensors`)));
const rows = JSON.parse(readFileSync(golden, "utf8")).slice(0, count ? Number(count) : undefined);
let different = 0;
for (const { prompt, stream, level, integers, values } of rows) {
  const meaning = prompt === null || !prompt.trim() ? new Float64Array(config.shape.prompt_width)
    : model.prompt(indicesOf(prompt, config.vocabulary));
  const found = readSeed(model, Uint8Array.from(Buffer.from(stream, "base64")), meaning);
  const scaled = Int32Array.from(found.values, (x) => x * 2 ** 12);
  const same = found.level === level && found.integers.reduce(checked, 0) === integers
    && sha256(new Uint8Array(scaled.buffer)).slice(0, 16) === values;
  if (!same) different++;
}
console.log(JSON.stringify({ streams: rows.length, different }));
