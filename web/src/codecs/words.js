/** Words of prompts as numbers: of the seed codecs, and of the text encoder. */

const UNKNOWN = 2, ABSENT = 1;
const NUM_SPECIAL = 3;

/**
 * Lower-case words of a prompt, without punctuation.
 * @param {string} prompt
 */
export function splitWords(prompt) {
  return prompt.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}

/**
 * Indices of a codec's vocabulary, zeros behind the last; an empty prompt is a sign of its own.
 * @param {string | null} prompt `null` where the codec knows none
 * @param {string[]} words
 * @param {number} longest
 */
export function indicesOf(prompt, words, longest = 24) {
  const known = new Map(words.map((word, k) => [word, NUM_SPECIAL + k]));
  const found = prompt === null ? [] : splitWords(prompt).map((word) => known.get(word) ?? UNKNOWN);
  const row = new Array(longest).fill(0);
  (found.length ? found : [ABSENT]).slice(0, longest).forEach((index, k) => { row[k] = index; });
  return row;
}
