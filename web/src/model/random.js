/**
 * The keyed streams of gainnet: NumPy's PCG64 seeded by words, and its ziggurat of single precision, so that a page
 * draws the noise that `gainnet ask` draws.
 */

import { crc32 } from "../wire/crc32.js";

const POOL = 4;
const INIT_A = 0x43b0d7e5, MULT_A = 0x931e8875, INIT_B = 0x8b51f9dd, MULT_B = 0x58f38ded;
const MIX_L = 0xca01f9dd, MIX_R = 0x4973f715;
const MASK = (1n << 128n) - 1n, LOW = (1n << 64n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const LAYERS = 256, RIGHT = 3.6541528853610088, AREA = 0.00492867323399;

/**
 * Eight words of state from words of entropy (O'Neill's seed_seq, as NumPy's SeedSequence).
 * @param {number[]} entropy
 */
function seedWords(entropy) {
  let constant = INIT_A;
  /** @param {number} value */
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, MULT_A) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  /** @param {number} x @param {number} y */
  const mix = (x, y) => {
    const result = (Math.imul(x, MIX_L) - Math.imul(y, MIX_R)) >>> 0;
    return (result ^ (result >>> 16)) >>> 0;
  };
  const pool = Array.from({ length: POOL }, (_, k) => hash(entropy[k] ?? 0));
  for (let source = 0; source < POOL; source++) for (let target = 0; target < POOL; target++) {
    if (source !== target) pool[target] = mix(pool[target], hash(pool[source]));
  }
  for (const word of entropy.slice(POOL)) for (let target = 0; target < POOL; target++) pool[target] = mix(pool[target], hash(word));
  let other = INIT_B;
  return Array.from({ length: 8 }, (_, k) => {
    let value = (pool[k % POOL] ^ other) >>> 0;
    other = Math.imul(other, MULT_B) >>> 0;
    value = Math.imul(value, other) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

/** @param {number[]} entropy */
function pcg64(entropy) {
  const words = seedWords(entropy).map(BigInt), longs = [0, 2, 4, 6].map((k) => words[k] | (words[k + 1] << 32n));
  const start = (longs[0] << 64n) | longs[1], increment = ((((longs[2] << 64n) | longs[3]) << 1n) | 1n) & MASK;
  let state = (((increment + start) & MASK) * MULTIPLIER + increment) & MASK;
  /** @type {number | null} */
  let kept = null;
  return () => {
    if (kept !== null) {
      const word = kept;
      kept = null;
      return word;
    }
    state = (state * MULTIPLIER + increment) & MASK;
    const folded = (state >> 64n) ^ (state & LOW), turn = state >> 122n;
    const long = ((folded >> turn) | (folded << ((64n - turn) & 63n))) & LOW;
    kept = Number(long >> 32n);
    return Number(long & 0xffffffffn);
  };
}

/** Widths, bounds and heights of the layers of the ziggurat. */
const ZIGGURAT = (() => {
  const f = Math.fround, edges = new Float64Array(LAYERS);
  /** @param {number} x */
  const density = (x) => Math.exp(-0.5 * x * x);
  edges[255] = RIGHT;
  for (let k = 254; k > 0; k--) edges[k] = Math.sqrt(-2 * Math.log(AREA / edges[k + 1] + density(edges[k + 1])));
  const base = AREA / density(RIGHT), scale = 2 ** 23;
  const widths = Float32Array.from(edges, (x, k) => (k ? x : base) / scale);
  const bounds = Uint32Array.from(edges, (x, k) => (k === 0 ? (RIGHT / base) * scale : k === 1 ? 0 : (edges[k - 1] / x) * scale));
  const heights = Float32Array.from(edges, (x, k) => (k ? f(density(x)) : 1));
  return { widths, bounds, heights };
})();

/**
 * Standard normal numbers in single precision, of one item.
 * @param {number} randomSeed of the item
 * @param {(string | number)[]} names of the stream
 * @param {number} count
 */
export function normals(randomSeed, names, count) {
  const keys = names.map((name) => (typeof name === "number" ? name : crc32(new TextEncoder().encode(name))));
  const next = pcg64([randomSeed, ...keys]), { widths, bounds, heights } = ZIGGURAT, f = Math.fround;
  const float = () => f((next() >>> 8) * 2 ** -24);
  const draw = () => {
    for (;;) {
      const word = next(), layer = word & 255, size = word >>> 9;
      let x = f(f(size) * widths[layer]);
      if ((word >>> 8) & 1) x = -x;
      if (size < bounds[layer]) return x;
      if (layer === 0) {
        for (;;) {
          const far = f(-f(1 / RIGHT) * f(Math.log1p(-float()))), down = f(-f(Math.log1p(-float())));
          if (down + down > far * far) return (size >>> 8) & 1 ? -f(f(RIGHT) + far) : f(f(RIGHT) + far);
        }
      }
      if (f(f(f(heights[layer - 1] - heights[layer]) * float()) + heights[layer]) < Math.exp(-0.5 * x * x)) return x;
    }
  };
  return Float32Array.from({ length: count }, draw);
}
