/**
 * What a saved picture says of itself: that a model made it, and the edge's receipt for the payload that it was decoded
 * from, with this page's signature of the pixels. The same as gainnet ask writes; gainnet trust verify reads it.
 */

import { ed25519 } from "@noble/curves/ed25519.js";
import { crc32 } from "../wire/crc32.js";
import { sha256 } from "../wire/sha256.js";

const TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/";
const IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/", OURS = "urn:gainnet:provenance:1";
/** Bytes of a PNG's signature and of its first chunk, whose length is fixed. */
const AFTER_IHDR = 33;

/** @typedef {{ statement: string, signature: string, certificate: string, pixels: string, pixels_signature: string }} Receipt */

/** @param {Uint8Array} bytes */
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
/** @param {string} text */
const utf8 = (text) => new TextEncoder().encode(text);

/** The key of this page for one request; WebCrypto has none where a page comes over plain http. */
export class DeviceKey {
  #secret;

  constructor() {
    const { secretKey, publicKey } = ed25519.keygen();
    this.#secret = secretKey;
    this.public = base64(publicKey);
  }

  /**
   * The receipt with the digest of the pixels, signed where the edge has named this key.
   * @param {Receipt} receipt
   * @param {ImageData} pixels
   * @returns {Receipt}
   */
  seal(receipt, { width, height, data }) {
    const rgb = data.filter((_, k) => k % 4 < 3), digest = sha256(Uint8Array.from([...utf8(`${width}x${height}\n`), ...rgb]));
    const isMine = JSON.parse(receipt.statement).device_key === this.public;
    return { ...receipt, pixels: digest, pixels_signature: isMine ? base64(ed25519.sign(utf8(digest), this.#secret)) : "" };
  }
}

/**
 * The receipt of an edge where it is for what has arrived here.
 * @param {Receipt | undefined} receipt
 * @param {Uint8Array[]} bodies of the frames of content, in order
 * @param {string} model digest of it
 */
export function fitting(receipt, bodies, model) {
  if (!receipt) return null;
  const { kind, payload, sha256: stated } = JSON.parse(receipt.statement);
  const all = new Uint8Array(bodies.reduce((sum, body) => sum + body.length, 0));
  bodies.reduce((at, body) => (all.set(body, at), at + body.length), 0);
  return kind === "gainnet receipt 1" && payload === sha256(all) && stated === model ? receipt : null;
}

/**
 * A PNG file with XMP; its pixels are as before.
 * @param {Uint8Array} png
 * @param {boolean} isChanged whether a picture was changed rather than made
 * @param {Receipt | null} receipt
 */
export function marked(png, isChanged, receipt) {
  const source = TERMS + (isChanged ? "compositeWithTrainedAlgorithmicMedia" : "trainedAlgorithmicMedia");
  const ours = receipt ? ` xmlns:gainnet="${OURS}" gainnet:receipt="${base64(utf8(JSON.stringify(receipt)))}"` : "";
  const xmp = `<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>`
    + `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">`
    + `<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="${IPTC}" Iptc4xmpExt:DigitalSourceType="${source}"${ours}/>`
    + `</rdf:RDF></x:xmpmeta><?xpacket end="r"?>`;
  const body = utf8(`iTXtXML:com.adobe.xmp\0\0\0\0\0${xmp}`), chunk = new Uint8Array(body.length + 8), view = new DataView(chunk.buffer);
  view.setUint32(0, body.length - 4);
  chunk.set(body, 4);
  view.setUint32(body.length + 4, crc32(body));
  return new Blob([/** @type {any} */ (png.subarray(0, AFTER_IHDR)), chunk, /** @type {any} */ (png.subarray(AFTER_IHDR))], { type: "image/png" });
}
