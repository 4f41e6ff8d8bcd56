/** The tokenizers of text encoders: pairs of letters merged in the order of their rank, or longest known beginnings. */

const START = 0, END = 1;
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu;

const WORDS = /[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu;
/** Letters of a word beyond which it is no word. */
const LONGEST_WORD = 100;

/** @typedef {{ type?: string, vocab: Record<string, number>, merges?: [string, string][] }} Model */

/**
 * @param {{ model: Model }} file of the tokenizer
 * @param {number} longest tokens of a prompt
 */
export function tokenizerOf({ model }, longest) {
  const cut = model.type === "WordPiece" ? beginnings(model) : merged(model);
  return {
    /** @param {string} prompt */
    tokens(prompt) {
      const found = [START, ...cut(prompt).slice(0, longest - 2), END];
      return [...found, ...new Array(longest - found.length).fill(END)];
    },
  };
}

/** WordPiece: every word is cut into the longest known beginning, and what is left likewise. @param {Model} model */
function beginnings({ vocab }) {
  /** @param {string} word */
  function split(word) {
    const found = [];
    for (let from = 0; from < word.length;) {
      let to = word.length;
      while (to > from && vocab[(from ? "##" : "") + word.slice(from, to)] === undefined) to--;
      if (to === from) return [END];
      found.push(vocab[(from ? "##" : "") + word.slice(from, to)]);
      from = to;
    }
    return word.length > LONGEST_WORD ? [END] : found;
  }
  // Accents are no letters of their own here.
  return (/** @type {string} */ prompt) => (prompt.toLowerCase().normalize("NFD").replace(/\p{Mn}/gu, "").match(WORDS) ?? []).flatMap(split);
}

/** Byte pairs. @param {Model} model */
function merged(model) {
  const ranks = new Map((model.merges ?? []).map((pair, k) => [pair.join("\n"), k]));

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

  return (/** @type {string} */ prompt) => (prompt.normalize("NFC").replace(/\s+/g, " ").toLowerCase().match(PIECES) ?? []).flatMap(split);
}
