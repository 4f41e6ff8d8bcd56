/** The reader of entropy-coded streams: an asymmetric numeral system with 64 bits of state and words of 32 bits. */

import { crc32 } from "../wire/crc32.js";
import { TOTAL } from "./tables.js";

const PRECISION = 24n, LOW = BigInt(TOTAL - 1);
const REFILL = 1n << 32n;

/**
 * CRC-32 of an integer in four bytes, after those before it.
 * @param {number} check
 * @param {number} integer
 */
export function checked(check, integer) {
  return crc32([integer, integer >> 8, integer >> 16, integer >> 24], check);
}

/** Takes symbols from a byte string; `close` checks them all. */
export class StreamReader {
  /** @type {number[]} */
  #words = [];
  #state = 0n;
  #check = 0;
  #checkBits;

  /**
   * @param {Uint8Array} string
   * @param {number} checkBits length of the check sum
   */
  constructor(string, checkBits = 24) {
    let length = string.length;
    while (length && string[length - 1] === 0) length--;
    if (!length) throw new Error("entropy code: payload is empty");
    const padded = new Uint8Array(Math.ceil(length / 4) * 4);
    padded.set(string.subarray(0, length));
    const view = new DataView(padded.buffer);
    for (let at = 0; at < padded.length; at += 4) this.#words.push(view.getUint32(at, true));
    this.#checkBits = checkBits;
    // The last words are the state; there is one alone where nothing was coded.
    this.#state = BigInt(this.#words.pop() ?? 0);
    this.#refill();
  }

  #refill() {
    if (this.#state < REFILL && this.#words.length) {
      this.#state = (this.#state << 32n) | BigInt(this.#words.pop() ?? 0);
    }
  }

  /**
   * The next symbol.
   * @param {Uint32Array} ends cumulated frequencies
   */
  take(ends) {
    const quantile = Number(this.#state & LOW);
    let low = 0, high = ends.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (ends[middle] <= quantile) low = middle;
      else high = middle;
    }
    this.#state = (this.#state >> PRECISION) * BigInt(ends[low + 1] - ends[low]) + BigInt(quantile - ends[low]);
    this.#refill();
    this.#check = checked(this.#check, low);
    return low;
  }

  /** The number that the coder started from, which is all that is left after the last symbol; `null` when there is more. */
  rest() {
    return this.#words.length ? null : this.#state;
  }

  /** Throws unless the string ends here and its check sum fits. */
  close() {
    const start = 2 ** this.#checkBits + (this.#check % 2 ** this.#checkBits);
    if (this.rest() !== BigInt(start)) {
      throw new Error("entropy code: payload is corrupt, its check sum does not fit");
    }
  }
}

/**
 * Integers that were coded as table symbols with 16-bit halves behind, at the places of escapes.
 * @param {StreamReader} reader
 * @param {Int32Array} integers where 0x7fffffff marks an escape
 * @param {number[]} escaped places, in order
 * @param {Uint32Array} halves the uniform table of 16 bits
 */
export function fillEscaped(reader, integers, escaped, halves) {
  for (const place of escaped) {
    const low = reader.take(halves);
    integers[place] = low | (reader.take(halves) << 16);
  }
}
