/**
 * Reader of transform-coded seeds: its entropy model in arithmetic without rounding, so that the integers are those of
 * the sender on every machine. The same numbers as gainnet/codecs/transform_seed/exact.py; sums are exact in any order.
 */

import { StreamReader, fillEscaped } from "./entropy.js";
import { powerOfTwo, uniform, valueTable } from "./tables.js";

/** @typedef {import("../wire/safetensors.js").Tensor} Tensor */

const FINE = 2 ** 12, COARSE = 2 ** 6, GAINS = 2 ** 5, LARGEST = 64;
const LEAST_CLASS = -32, MOST_CLASS = 64, CLASSES_PER_OCTAVE = 8;
const NUM_ANCHORS = 9, NUM_LEVELS = 128;
const CHECK_BITS = 16;
const LEVELS = uniform(NUM_LEVELS);
/** @type {Uint32Array | undefined} */
let halves;

/**
 * @param {number} x
 * @param {number} perUnit
 */
const onGrid = (x, perUnit = FINE) => Math.floor(x * perUnit + 0.5) / perUnit;
/** @param {number} x */
const clip = (x) => Math.min(Math.max(onGrid(x), -LARGEST), LARGEST);
/** @param {number} x */
const clipAtZero = (x) => Math.min(Math.max(onGrid(x), 0), LARGEST);

/**
 * @typedef {Object} Shape
 * @property {[number, number, number]} latent
 * @property {number[]} channel_groups
 * @property {number} entropy_width
 * @property {number} place_width
 * @property {number} word_width
 * @property {number} prompt_width
 */

/** @typedef {{ weight: Float64Array, bias: Float64Array, numIn: number, numOut: number }} Layer */

/**
 * @typedef {Object} Group
 * @property {Int32Array} places of its values
 * @property {number} before channels with values before it
 * @property {number} size its own channels
 * @property {Int32Array} own patches of its values, in the first channel
 */

/** The entropy model of some weights. */
export class ExactModel {
  /**
   * @param {Shape} shape
   * @param {Record<string, Tensor>} tensors
   */
  constructor(shape, tensors) {
    this.shape = shape;
    this.tensors = tensors;
    this.grid = [shape.latent[1] / 2, shape.latent[2] / 2];
    this.numPatches = this.grid[0] * this.grid[1];
    this.patchSize = shape.latent[0] * 4;
    this.numValues = this.numPatches * this.patchSize;
    this.groups = groupsOf(shape, this.grid, this.patchSize);
    /** @type {Map<string, Layer>} */
    this.layers = new Map();
    this.firsts = this.groups.map((group, k) => this.#first(group, k));
  }

  /**
   * A linear map by name; of a kernel rows, columns and channels in this order.
   * @param {string} name
   * @returns {Layer}
   */
  layer(name) {
    let layer = this.layers.get(name);
    if (!layer) {
      const { shape, values } = this.tensors[`${name}.weight`];
      const weight = flattened(shape, values), numOut = shape[0];
      const bias = Float64Array.from(this.tensors[`${name}.bias`]?.values ?? new Float64Array(numOut));
      layer = { weight, bias, numIn: weight.length / numOut, numOut };
      this.layers.set(name, layer);
    }
    return layer;
  }

  /**
   * The first layer of a group, of values alone, and what it makes of the places [patches, width].
   * @param {Group} group
   * @param {number} k
   */
  #first(group, k) {
    const whole = this.layer(`models.${k}.first`), width = whole.numIn / 25;
    /** @param {number} from @param {number} to */
    const part = (from, to) => {
      const weight = new Float64Array(whole.numOut * 25 * (to - from));
      let at = 0;
      for (let row = 0; row < whole.numOut * 25; row++) {
        for (let c = from; c < to; c++) weight[at++] = whole.weight[row * width + c];
      }
      return weight;
    };
    const { before } = group, placeWidth = width - before;
    const values = { ...whole, weight: part(0, before), numIn: 25 * before };
    const places = {
      weight: part(before, width), bias: new Float64Array(whole.numOut), numIn: 25 * placeWidth, numOut: whole.numOut,
    };
    const map = this.tensors[`models.${k}.place`].values;
    // [width, patches] to [patches, width]
    const maps = new Float64Array(this.numPatches * placeWidth);
    for (let c = 0; c < placeWidth; c++) {
      for (let patch = 0; patch < this.numPatches; patch++) {
        maps[patch * placeWidth + c] = clip(map[c * this.numPatches + patch]);
      }
    }
    return { values, ofPlaces: convolve(places, maps, placeWidth, this.grid, 2) };
  }

  /**
   * What words mean; 0 is no word.
   * @param {number[]} words
   */
  prompt(words) {
    const { prompt_width: width, word_width: size } = this.shape;
    if (!words.some((word) => word)) return new Float64Array(width);
    const table = this.tensors["prompt.words.weight"].values;
    const near = new Float64Array(3 * size), first = this.layer("prompt.first");
    const summed = new Float64Array(2 * first.numOut);
    words.forEach((word, k) => {
      if (word <= 0) return;
      for (let side = 0; side < 3; side++) {
        const other = words[k + side - 1];
        for (let c = 0; c < size; c++) near[side * size + c] = other === undefined ? 0 : clip(table[other * size + c]);
      }
      apply(first, near).forEach((x, c) => {
        const feature = clipAtZero(x);
        summed[c] += feature;
        summed[first.numOut + c] += (feature * k) / 8;
      });
    });
    return apply(this.layer("prompt.second"), summed.map((x) => clip(x / 4))).map(clipAtZero);
  }

  /**
   * Side information of a quality and a prompt.
   * @param {number} level
   * @param {Float64Array} prompt
   */
  sideInformation(level, prompt) {
    const anchors = anchorsOf(level), table = this.tensors.log2_gains.values;
    const condition = Float64Array.from([...anchors, ...prompt]);
    const log2Gains = new Float64Array(this.patchSize);
    for (let c = 0; c < this.patchSize; c++) {
      let sum = 0;
      for (let k = 0; k < NUM_ANCHORS; k++) sum += anchors[k] * table[k * this.patchSize + c];
      log2Gains[c] = onGrid(sum, GAINS);
    }
    return { condition, log2Gains, gains: log2Gains.map(powerOfTwo) };
  }

  /**
   * Means, classes and gains of a group's values, given the groups before it.
   * @param {number} index
   * @param {Float64Array} values [numValues], 0 where not yet known
   * @param {ReturnType<ExactModel["sideInformation"]>} side
   */
  predict(index, values, side) {
    const group = this.groups[index], name = `models.${index}`, width = this.shape.entropy_width;
    const { before, size, own, places } = group, numPatches = this.numPatches;
    const known = new Float64Array(numPatches * before);
    for (let c = 0; c < before; c++) {
      for (let patch = 0; patch < numPatches; patch++) known[patch * before + c] = values[c * numPatches + patch];
    }
    const first = this.firsts[index], conditioned = apply(this.layer(`${name}.condition`), side.condition);
    const hidden = before ? convolve(first.values, known, before, this.grid, 2)
      : Float64Array.from({ length: numPatches * width }, (_, k) => first.values.bias[k % width]);
    for (let k = 0; k < hidden.length; k++) {
      hidden[k] = clipAtZero(hidden[k] + first.ofPlaces[k] + conditioned[k % width]);
    }
    const sums = new Float64Array(width);
    for (let k = 0; k < hidden.length; k++) sums[k % width] += hidden[k];
    const whole = apply(this.layer(`${name}.whole`), sums.map((x) => clip(x / numPatches)));
    const near = convolve(this.layer(`${name}.second`), hidden, width, this.grid, 1, own);
    const head = this.layer(`${name}.head`), features = new Float64Array(width);
    const means = new Float64Array(places.length), classes = new Int32Array(places.length);
    const gains = new Float64Array(places.length);
    own.forEach((patch, row) => {
      for (let c = 0; c < width; c++) {
        features[c] = clip(hidden[patch * width + c] + clipAtZero(near[row * width + c] + whole[c]));
      }
      const found = apply(head, features);
      for (let c = 0; c < size; c++) {
        const k = c * own.length + row, channel = Math.floor(places[k] / numPatches);
        const gain = side.gains[channel], octaves = found[size + c] + side.log2Gains[channel];
        gains[k] = gain;
        classes[k] = Math.min(Math.max(Math.floor(CLASSES_PER_OCTAVE * octaves + 0.5), LEAST_CLASS), MOST_CLASS);
        means[k] = onGrid(Math.min(Math.max(found[c], -LARGEST), LARGEST) * gain, COARSE);
      }
    });
    return { means, classes, gains };
  }
}

/**
 * Level, values and integers of a stream; the likeliest values where it did not arrive.
 * @param {ExactModel} model
 * @param {Uint8Array | null} string
 * @param {Float64Array} prompt as `ExactModel.prompt` returns
 */
export function readSeed(model, string, prompt) {
  const reader = string && new StreamReader(string, CHECK_BITS);
  const level = reader ? reader.take(LEVELS) : 0;
  const found = readValues(model, reader, model.sideInformation(level, prompt));
  reader?.close();
  return { level, ...found };
}

/**
 * Values and integers, group after group; the likeliest values where nothing arrived.
 * @param {ExactModel} model
 * @param {StreamReader | null} reader behind the head of a stream
 * @param {ReturnType<ExactModel["sideInformation"]>} side
 */
export function readValues(model, reader, side) {
  const values = new Float64Array(model.numValues), integers = new Int32Array(model.numValues);
  let at = 0;
  model.groups.forEach(({ places }, index) => {
    const expected = model.predict(index, values, side);
    const taken = reader ? takeIntegers(reader, expected.classes) : new Int32Array(places.length);
    integers.set(taken, at);
    at += places.length;
    places.forEach((place, k) => { values[place] = clip((taken[k] + expected.means[k]) / expected.gains[k]); });
  });
  return { values, integers };
}

/**
 * Weights of the anchors at a level.
 * @param {number} level
 */
export function anchorsOf(level) {
  const position = level * ((NUM_ANCHORS - 1) / NUM_LEVELS);
  return Float64Array.from({ length: NUM_ANCHORS }, (_, k) => Math.max(1 - Math.abs(position - k), 0));
}

/**
 * @param {StreamReader} reader
 * @param {Int32Array} classes
 */
function takeIntegers(reader, classes) {
  // Class after class, those of one class in their order: a stable sort, as both ends take equal classes alike.
  const order = Array.from(classes.keys()).sort((a, b) => classes[a] - classes[b] || a - b);
  const integers = new Int32Array(classes.length);
  /** @type {number[]} */
  const escaped = [];
  for (const place of order) {
    const { ends, reach } = valueTable(classes[place]), symbol = reader.take(ends);
    integers[place] = symbol - reach;
    if (symbol === 2 * reach + 1) escaped.push(place);
  }
  if (escaped.length) fillEscaped(reader, integers, escaped, (halves ??= uniform(2 ** 16)));
  return integers;
}

/**
 * Which values are coded together: checkerboards of the first channels, then groups of channels.
 * @param {Shape} shape
 * @param {number[]} grid
 * @param {number} patchSize
 * @returns {Group[]}
 */
function groupsOf(shape, grid, patchSize) {
  const [size, ...others] = shape.channel_groups, numPatches = grid[0] * grid[1];
  const patches = Array.from({ length: numPatches }, (_, k) => k);
  /** @param {number} k */
  const odd = (k) => (Math.floor(k / grid[1]) % 2) + ((k % grid[1]) % 2);
  const passes = [0, 2, 1].map((wanted, k) => ({ before: k ? size : 0, from: 0, size, own: patches.filter((p) => odd(p) === wanted) }));
  let from = size;
  const later = others.map((count) => {
    const group = { before: from, from, size: count, own: patches };
    from += count;
    return group;
  });
  if (from !== patchSize) throw new Error("transform: the groups do not cover a patch");
  return [...passes, ...later].map(({ before, from: start, size: count, own }) => ({
    before, size: count, own: Int32Array.from(own),
    places: Int32Array.from(Array.from({ length: count }, (_, c) => own.map((p) => (start + c) * numPatches + p)).flat()),
  }));
}

/**
 * Weights with the channels last, [out, rows, columns, in] flattened, as doubles.
 * @param {number[]} shape
 * @param {ArrayLike<number>} values
 */
function flattened(shape, values) {
  const [numOut, numIn] = shape, area = shape.slice(2).reduce((a, b) => a * b, 1);
  const weight = new Float64Array(numOut * numIn * area);
  for (let row = 0; row < numOut; row++) {
    for (let c = 0; c < numIn; c++) {
      for (let place = 0; place < area; place++) {
        weight[(row * area + place) * numIn + c] = values[(row * numIn + c) * area + place];
      }
    }
  }
  return weight;
}

/**
 * @param {Layer} layer
 * @param {Float64Array} x
 */
function apply({ weight, bias, numIn, numOut }, x) {
  const y = new Float64Array(numOut);
  for (let row = 0, at = 0; row < numOut; row++) {
    let sum = bias[row];
    for (let k = 0; k < numIn; k++, at++) sum += weight[at] * x[k];
    y[row] = sum;
  }
  return y;
}

/**
 * A layer over the square around every patch, or around some patches: [patches, numOut] of [patches, width].
 * @param {Layer} layer
 * @param {Float64Array} maps
 * @param {number} width
 * @param {number[]} grid
 * @param {number} reach
 * @param {Int32Array} [wanted]
 */
function convolve({ weight, bias, numIn, numOut }, maps, width, [height, across], reach, wanted) {
  const patches = wanted ?? Int32Array.from({ length: height * across }, (_, k) => k);
  const out = new Float64Array(patches.length * numOut), side = 2 * reach + 1;
  for (let index = 0; index < patches.length; index++) {
    const row = Math.floor(patches[index] / across), column = patches[index] % across;
    for (let o = 0; o < numOut; o++) {
      let sum = bias[o];
      for (let i = 0; i < side; i++) {
        const y = row + i - reach;
        if (y < 0 || y >= height) continue;
        for (let j = 0; j < side; j++) {
          const x = column + j - reach;
          if (x < 0 || x >= across) continue;
          let from = (y * across + x) * width, at = o * numIn + (i * side + j) * width;
          for (let c = 0; c < width; c++) sum += weight[at++] * maps[from++];
        }
      }
      out[index * numOut + o] = sum;
    }
  }
  return out;
}
