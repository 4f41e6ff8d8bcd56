/** CRC-32 (ISO 3309), as PNG files, keyed streams and entropy-coded streams use it. */

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/**
 * Check sum of bytes, after those that made `check`.
 * @param {Iterable<number>} bytes
 * @param {number} [check]
 */
export function crc32(bytes, check = 0) {
  let crc = ~check;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}
