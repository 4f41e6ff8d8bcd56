/** Safetensors files as typed arrays; half precision becomes single. */

/**
 * @typedef {Object} Tensor
 * @property {number[]} shape
 * @property {Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Int32Array} values
 */

/**
 * The tensors of a file by name.
 * @param {Uint8Array} bytes
 * @returns {Record<string, Tensor>}
 */
export function readTensors(bytes) {
  if (bytes.length < 8) return {};
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > bytes.length - 8) throw new Error("safetensors: the header is longer than the file");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  /** @type {Record<string, Tensor>} */
  const tensors = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets;
    const part = bytes.subarray(8 + length + begin, 8 + length + end);
    tensors[name] = { shape: entry.shape, values: valuesOf(entry.dtype, part) };
  }
  return tensors;
}

/**
 * @param {string} kind
 * @param {Uint8Array} part
 * @returns {Tensor["values"]}
 */
function valuesOf(kind, part) {
  // A copy, since a typed array must begin at a multiple of its element's size.
  const { buffer } = new Uint8Array(part);
  switch (kind) {
    case "F32": return new Float32Array(buffer);
    case "F64": return new Float64Array(buffer);
    case "F16": return halves(new Uint16Array(buffer));
    case "I8": return new Int8Array(buffer);
    case "U8": case "BOOL": return new Uint8Array(buffer);
    case "I16": return new Int16Array(buffer);
    case "I32": return new Int32Array(buffer);
    default: throw new Error(`safetensors: numbers of type ${kind} are not read here`);
  }
}

/**
 * Single precision of IEEE half precision, exactly.
 * @param {Uint16Array} words
 */
function halves(words) {
  const values = new Float32Array(words.length);
  for (let k = 0; k < words.length; k++) {
    const word = words[k], exponent = (word >> 10) & 31, fraction = word & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24
      : exponent === 31 ? (fraction ? NaN : Infinity)
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    values[k] = word & 0x8000 ? -size : size;
  }
  return values;
}

/**
 * A file of tensors of bytes, as a request carries a picture.
 * @param {Record<string, { shape: number[], values: Uint8Array }>} tensors
 * @returns {Uint8Array}
 */
export function writeTensors(tensors) {
  /** @type {Record<string, unknown>} */
  const header = {};
  let at = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: "U8", shape, data_offsets: [at, (at += values.length)] };
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const length = Math.ceil(text.length / 8) * 8;
  const bytes = new Uint8Array(8 + length + at).fill(32, 8, 8 + length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(text, 8);
  let start = 8 + length;
  for (const { values } of Object.values(tensors)) {
    bytes.set(values, start);
    start += values.length;
  }
  return bytes;
}
