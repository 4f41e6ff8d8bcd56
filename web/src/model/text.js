/** The tokenizer of the text encoder: words, then pairs of letters merged in the order of their rank. */

const START = 0, END = 1;
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

/** @typedef {{ model: { vocab: Record<string, number>, merges: [string, string][] } }} TokenizerFile */

/**
 * @param {TokenizerFile} file
 * @param {number} longest tokens of a prompt
 */
export function tokenizerOf({ model }, longest) {
  const ranks = new Map(model.merges.map((pair, k) => [pair.join("\n"), k]));

  /** @param {string} piece */
  function split(piece) {
    // Bytes above ASCII have no letter here, and become the unknown sign.
    let parts = [...new TextEncoder().encode(piece)].map((byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : "\u0000"));
    parts[parts.length - 1] += "</w>";
    for (;;) {
      let best = -1, least = Infinity;
      for (let k = 0; k + 1 < parts.length; k++) {
        const rank = ranks.get(`${parts[k]}\n${parts[k + 1]}`);
        if (rank !== undefined && rank < least) [best, least] = [k, rank];
      }
      if (best < 0) return parts.map((part) => model.vocab[part] ?? END);
      const pair = parts[best] + parts[best + 1];
      parts = parts.flatMap((part, k) => {
        const isPair = k + 1 < parts.length && part + parts[k + 1] === pair && ranks.has(`${part}\n${parts[k + 1]}`);
        return isPair && k === best ? [pair] : k === best + 1 ? [] : [part];
      });
    }
  }

  return {
    /** @param {string} prompt */
    tokens(prompt) {
      const pieces = prompt.normalize("NFC").replace(/\s+/g, " ").toLowerCase().match(PIECES) ?? [];
      const found = [START, ...pieces.flatMap(split).slice(0, longest - 2), END];
      return [...found, ...new Array(longest - found.length).fill(END)];
    },
    /** Words that the model has never seen as such. @param {string} prompt */
    unknown(prompt) {
      const words = prompt.normalize("NFC").toLowerCase().match(/\p{L}+|\p{N}+/gu) ?? [];
      return [...new Set(words.filter((word) => model.vocab[`${word}</w>`] === undefined))];
    },
    /** Words that it knows. */
    known: Object.keys(model.vocab).filter((word) => word.endsWith("</w>") && /^\p{L}{2,}<\/w>$/u.test(word))
      .map((word) => word.slice(0, -4)),
  };
}
