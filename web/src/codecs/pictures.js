/** Strings of image codecs as files that a browser shows: the container that was not sent is put back. */

const FLAT = 253, RAW = 254, WHOLE_FILE = 255;
const NUM_WEBP_QUALITIES = 81;

/**
 * @typedef {{ kind: "file", type: string, bytes: Uint8Array }} File
 * @typedef {{ kind: "pixels", rgb: Uint8Array } | { kind: "flat", rgb: number[] }} Plain
 */

/**
 * What a string of the WebP codec shows, of a square picture.
 * @param {Uint8Array} string
 * @param {number} side
 * @param {boolean} budgeted whether the codec chose a quality for a budget
 * @returns {File | Plain}
 */
export function webpOf(string, side, budgeted) {
  const [index] = string, body = string.subarray(1);
  if (index === FLAT) return { kind: "flat", rgb: [...body] };
  if (index === RAW) return { kind: "pixels", rgb: body };
  if (index === WHOLE_FILE) return { kind: "file", type: "image/webp", bytes: body.subarray(1) };
  const scale = budgeted ? [1, 2, 4][Math.floor(index / NUM_WEBP_QUALITIES)] : 1, small = Math.ceil(side / scale);
  const size = [0x9d, 0x01, 0x2a, small & 255, small >> 8, small & 255, small >> 8];
  const frame = Uint8Array.from([...body.subarray(0, 3), ...size, ...body.subarray(3)]);
  const padded = frame.length + (frame.length % 2), file = new Uint8Array(20 + padded);
  const view = new DataView(file.buffer), text = new TextEncoder();
  file.set(text.encode("RIFF"));
  view.setUint32(4, 12 + padded, true);
  file.set(text.encode("WEBPVP8 "), 8);
  view.setUint32(16, frame.length, true);
  file.set(frame, 20);
  return { kind: "file", type: "image/webp", bytes: file };
}
