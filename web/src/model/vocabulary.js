/** The words that models were trained on, and which model knows most words of a prompt. */

/** @typedef {{ name: string, base: string, domain: string, words: Set<string> }} Known */

/**
 * Words of a text, lower case; hyphens and signs separate them, apostrophes do not.
 * @param {string} text
 */
export function wordsOf(text) {
  return [...new Set(text.toLowerCase().replace(/['’]/g, "").match(/[\p{L}\p{N}]+/gu) ?? [])];
}

/** Words of a prompt that a model does not know, each once. @param {string} prompt @param {Known} known */
export function unknownTo(prompt, { words }) {
  return wordsOf(prompt).filter((word) => !words.has(word));
}

/**
 * The model that knows most words of a prompt; of several, the first.
 * @param {string} prompt
 * @param {Known[]} models
 */
export function suited(prompt, models) {
  return models.reduce((best, each) => (unknownTo(prompt, each).length < unknownTo(prompt, best).length ? each : best));
}
