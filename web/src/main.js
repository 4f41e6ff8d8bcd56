/** The page as a device: what is asked, what arrives, and what is drawn from it. */

import { Brain } from "./page/brain.js";
import { drawBits, drawSymbols } from "./page/constellation.js";
import { DeviceKey, marked } from "./page/provenance.js";
import { Connection, GoneError, randomId } from "./page/walk.js";
import { duration, energy, fidelity, psnr, said, whole } from "./page/words.js";
import { rgba } from "./model/images.js";

/** @template {HTMLElement} T @param {string} id @param {new () => T} kind @returns {T} */
function part(id, kind) {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

const input = (/** @type {string} */ id) => part(id, HTMLInputElement);
const select = (/** @type {string} */ id) => part(id, HTMLSelectElement);
const canvas = (/** @type {string} */ id) => part(id, HTMLCanvasElement);
const text = (/** @type {string} */ id) => part(id, HTMLElement);
/** @param {string} id @param {string} content */
const say = (id, content) => { text(id).textContent = content; };

const USES = [16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024];
const CODECS = /** @type {Record<string, [string, string][]>} */ ({
  eiug: [["seed_prompt", "learned, knows the prompt"], ["seed", "learned"], ["linear", "linear"],
    ["transform_prompt", "digital, learned, knows the prompt"], ["transform", "digital, learned"], ["digital", "digital"]],
  ciag: [["matched", "raw, resumed at its noise level"], ["raw", "raw"]],
  esuc: [["quantized", "small picture, quantised"]],
  draft: [["residual", "learned, knows the draft"]],
  centralized: [["webp", "WebP"]],
});
const KINDS = /** @type {Record<string, string>} */ ({ eiug: "seed", ciag: "midway", esuc: "sketch", draft: "correction", centralized: "image" });
const NOTES = /** @type {Record<string, string>} */ ({
  eiug: "The edge makes the whole seed, this page decodes it. The other protocols of gainnet run with gainnet ask.",
  ciag: "The edge takes the first steps, this page the last ones: it loads the denoiser, some 10 MB, when you generate.",
  esuc: "The edge draws four pictures, chooses one and sends a small sketch of it, which this page completes with the denoiser.",
  draft: "This page drafts the picture alone with few passes of the denoiser, the edge makes the whole and the same draft, and sends only what the draft lacks.",
  centralized: "The edge makes the whole picture and sends it as a file.",
});
/** File without which a codec of seeds does not fit the model. */
const NEEDS = /** @type {Record<string, string>} */ ({
  seed_prompt: "codecs/seed/config.json", seed: "codecs/seed/config.json", linear: "codecs/linear/config.json", digital: "codecs/linear/config.json",
  transform_prompt: "codecs/transform/config.json", transform: "codecs/transform/config.json",
});
const EXAMPLES = ["a red star above a blue house at sunset", "a yellow moon over a green tree", "a purple heart in the snow", "a white boat on the sea"];

const MOST_TRIES = 40, LONGEST_WAIT_MS = 3000;

const token = new URLSearchParams(location.hash.slice(1)).get("token");
const base = new URL("./", location.href);
const brain = new Brain(new URL("worker.js", base).href);
/** @type {Connection | null} */
let connection = null;
/** @type {{ shape: number[], values: Uint8Array } | null} */
let photo = null;
/** What a saved picture says of itself. @type {{ name: string, isChanged: boolean, receipt: import("./page/provenance.js").Receipt | null } | null} */
let shown = null;
let side = 128, numSteps = 10, fetched = 0, runtime = "torch";
/** Name of the model that this page computes with. */
let model = "";
/** Files of the model, by their path. @type {Record<string, unknown>} */
let files = {};
/** Drafts that the page can make with the model and the edge can correct. @type {{ cut: number, passes: number }[]} */
let drafts = [];

/** @param {"wait" | "ready" | "busy" | "bad"} state @param {string} words */
function status(state, words) {
  text("status").dataset.state = state;
  say("status", words);
}

function connect() {
  const address = new URL("v1/device", base);
  address.protocol = base.protocol === "https:" ? "wss:" : "ws:";
  connection = new Connection(address.href, token, model);
  return connection;
}

/** @param {unknown} error */
function fail(error) {
  say("error", error instanceof Error ? error.message : String(error));
  text("error").hidden = false;
  status("bad", "not ready");
}

function protocol() {
  return /** @type {HTMLInputElement} */ (document.querySelector("input[name=protocol]:checked")).value;
}

/** Shows what the chosen protocol has to be chosen for. */
function settle() {
  // A draft begins with noise, and only where its steps and the code of its corrections are there.
  const choice = input("protocol-draft"), canDraft = drafts.length > 0 && photo === null;
  /** @type {HTMLElement} */ (choice.parentElement).hidden = !canDraft;
  if (choice.checked && !canDraft) input("protocol-eiug").checked = true;
  const name = protocol(), chosen = select("codec").value, uses = USES[input("uses").valueAsNumber];
  say("protocol-note", NOTES[name]);
  const codecs = codecsOf(name);
  select("codec").replaceChildren(...codecs.map(([value, label]) => new Option(label, value, value === chosen, value === chosen)));
  text("codec-field").hidden = codecs.length < 2;
  // A latent that is sent as it is has a number of uses of its own.
  text("uses-field").hidden = isPlain();
  text("cut-field").hidden = name !== "ciag";
  text("draft-field").hidden = name !== "draft";
  text("strength-field").hidden = text("no-photo").hidden = photo === null;
  say("snr-value", `${input("snr").value} dB`);
  say("uses-value", whole(uses));
  say("cut-value", `${input("cut").value} of ${numSteps}`);
  say("strength-value", `${input("strength").value} %`);
}

/** Codecs of a protocol whose weights the model has; a seed can always be sent as it is. @param {string} name */
function codecsOf(name) {
  const usable = CODECS[name].filter(([codec]) => !NEEDS[codec] || NEEDS[codec] in files);
  return usable.length ? usable : [["raw", "raw"]];
}

/** Whether what is sent has a number of uses of its own. */
function isPlain() {
  return protocol() === "ciag" || (protocol() === "eiug" && select("codec").value === "raw");
}

/** The configuration of the request. */
function configuration() {
  const name = protocol(), config = /** @type {Record<string, any>} */ ({
    prompts: [input("prompt").value.trim()], protocol: name, snr_db: input("snr").valueAsNumber, fading: select("fading").value,
    random_seed: Math.min(Math.max(Math.trunc(input("number").valueAsNumber || 0), 0), 2 ** 31 - 1),
    codec: { [KINDS[name]]: select("codec").value }, runtime,
  });
  if (name === "draft") config.cut = Number(select("draft").value);
  if (name === "ciag") config.cut = numSteps - input("cut").valueAsNumber;
  if (!isPlain()) config.num_channel_uses = USES[input("uses").valueAsNumber];
  return config;
}

/** Says which words the model that knows most of them has never seen; returns its name. */
async function warn() {
  const found = await brain.ask("words", input("prompt").value), { unknown, domain } = found;
  text("unknown").hidden = !unknown.length;
  const words = unknown.map((/** @type {string} */ word) => `“${word}”`).join(", ");
  const some = found.words.filter((/** @type {string} */ word) => word.length > 2).slice(0, 60).join(", ");
  say("unknown", `${found.model} (${domain}) has never seen ${words}, so expect a guess. It knows: ${some}${found.words.length > 80 ? ", …" : ""}.`);
  return /** @type {string} */ (found.model);
}

/** Computes with a model from now on, over a connection of its own. @param {string} name */
async function use(name) {
  const index = await brain.ask("use", name);
  if (!index.files["model/onnx.json"]) throw new Error(`the model ${name} has no graphs for a page; gainnet export device writes them`);
  [model, files, side] = [name, index.files, index.image[1]];
  say("latent", index.latent.join("\u00a0×\u00a0"));
  connection?.socket.close();
  const hello = await connect().hello;
  ({ num_steps: numSteps, runtime } = hello);
  input("cut").max = String(Math.max(numSteps - 1, 1));
  drafts = await brain.ask("drafts", numSteps, hello.guidance_scale);
  select("draft").replaceChildren(...drafts.map(({ cut, passes }) => new Option(`${passes} passes of the denoiser`, String(cut))));
  settle();
  await brain.ask("warm");
}

/** Says how much of the photo the model can keep, before anything is drawn of it. */
async function weigh() {
  text("kept").hidden = canvas("given").hidden = photo === null;
  if (!photo) return;
  const given = canvas("given"), context = /** @type {CanvasRenderingContext2D} */ (given.getContext("2d")), { values } = photo;
  given.width = given.height = side;
  context.putImageData(new ImageData(rgba(Float32Array.from(values, (x) => x / 255), side), side), 0, 0);
  say("kept", "measuring what the model can keep of it …");
  say("kept", `Of this photo the autoencoder of ${model} alone keeps ${psnr(await brain.ask("kept", photo))}; finer details cannot come back.`);
}

/** @param {any[]} steps */
function list(steps) {
  text("steps").replaceChildren(...steps.map((step) => {
    const { who, text: words } = said(step), item = document.createElement("li"), note = document.createElement("small");
    item.dataset.who = who;
    item.dataset.index = step.index;
    item.append(words, note);
    if (/denois/.test(words)) item.append(Object.assign(document.createElement("progress"), { value: 0, max: 1, ariaLabel: words }));
    return item;
  }));
}

/** @param {number} index @param {string} [note] @param {number} [share] */
function mark(index, note, share = 1) {
  const item = document.querySelector(`#steps li[data-index="${index}"]`);
  if (!(item instanceof HTMLElement)) return;
  const bar = item.querySelector("progress");
  if (bar) bar.value = share;
  if (share >= 1) item.dataset.state = "done";
  if (note) /** @type {HTMLElement} */ (item.querySelector("small")).textContent = note;
  // Without scrollIntoView, which would move the whole page.
  const box = text("steps");
  if (item.offsetTop - box.offsetTop > box.scrollTop + box.clientHeight - 40) box.scrollTop = item.offsetTop - box.offsetTop - 40;
}

/** @param {Float32Array | import("./codecs/pictures.js").File | import("./codecs/pictures.js").Plain} picture */
async function show(picture) {
  const own = canvas("own"), context = /** @type {CanvasRenderingContext2D} */ (own.getContext("2d"));
  own.width = own.height = side;
  if (picture instanceof Float32Array) {
    context.putImageData(new ImageData(rgba(picture, side), side), 0, 0);
  } else if (picture.kind === "file") {
    context.drawImage(await createImageBitmap(new Blob([/** @type {any} */ (picture.bytes)], { type: picture.type })), 0, 0, side, side);
  } else if (picture.kind === "flat") {
    context.fillStyle = `rgb(${picture.rgb.join(" ")})`;
    context.fillRect(0, 0, side, side);
  } else {
    const pixels = new ImageData(side, side);
    for (let k = 0; k < side * side; k++) pixels.data.set([picture.rgb[3 * k], picture.rgb[3 * k + 1], picture.rgb[3 * k + 2], 255], 4 * k);
    context.putImageData(pixels, 0, 0);
  }
}

/** @param {any} content @param {any} usage */
function showAir(content, usage) {
  if (content?.kind === "symbols") drawSymbols(canvas("air"), content);
  else drawBits(canvas("air"), content?.string ?? null);
  say("air-name", content?.kind === "symbols" ? "received symbols, equalised" : content?.string ? "received bits" : "nothing arrived");
  say("air-uses", usage ? whole(usage.num_channel_uses) : "–");
  say("air-bits", content?.kind === "symbols" ? "none, analog" : content?.string ? whole(8 * content.string.length) : "0");
  say("air-time", usage ? duration(usage.duration_s) : "–");
}

/**
 * Asks for a picture; when the connection breaks, the same request is asked again, which the edge does not run twice.
 * @param {import("./page/walk.js").Order} order @param {import("./page/walk.js").Watch} watch
 */
async function asked(order, watch) {
  const request = randomId();
  for (let tries = 0; ; tries++) {
    try {
      return await (connection?.isOpen ? connection : connect()).run(order, brain, watch, request);
    } catch (error) {
      if (!(error instanceof GoneError) || tries === MOST_TRIES) throw error;
      status("busy", "the edge is gone, trying again");
      await new Promise((resolve) => setTimeout(resolve, Math.min(500 * 2 ** tries, LONGEST_WAIT_MS)));
    }
  }
}

/** Keeps what the picture that is shown will say of itself, once it is saved. @param {string} prompt @param {DeviceKey} key @param {import("./page/provenance.js").Receipt | null} receipt */
function keep(prompt, key, receipt) {
  const own = canvas("own"), pixels = /** @type {CanvasRenderingContext2D} */ (own.getContext("2d")).getImageData(0, 0, side, side);
  const name = prompt.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60) || "picture";
  shown = { name: `${name}.png`, isChanged: photo !== null, receipt: receipt && key.seal(receipt, pixels) };
  part("save", HTMLButtonElement).disabled = false;
  text("root").hidden = !receipt;
  say("save-note", receipt ? "The file says that a model made it, and holds this edge's signed receipt for what it was decoded from and this page's signature of its pixels."
    : "The file says that a model made it; this edge has signed nothing.");
}

/** Saves the picture as a file with its marks. */
async function save() {
  const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ resolve) => canvas("own").toBlob(resolve, "image/png"));
  if (!blob || !shown) return;
  const file = marked(new Uint8Array(await blob.arrayBuffer()), shown.isChanged, shown.receipt);
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: shown.name });
  link.click();
  // Later, since the browser may not have begun to read it.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function generate() {
  text("error").hidden = true;
  part("save", HTMLButtonElement).disabled = true;
  part("go", HTMLButtonElement).disabled = true;
  status("busy", "generating");
  try {
    const name = await warn();
    if (name !== model) {
      status("wait", `loading ${name}`);
      await use(name);
      await weigh();
      status("busy", "generating");
    }
  } catch (error) {
    part("go", HTMLButtonElement).disabled = false;
    return fail(error);
  }
  const config = configuration(), strength = photo ? input("strength").valueAsNumber / 100 : null;
  const key = new DeviceKey();
  const name = protocol(), codec = select("codec").selectedOptions[0]?.label ?? "";
  let decoding = 0;
  for (const id of ["own-psnr", "own-prompt", "own-time", "own-energy", "rival-psnr", "rival-time", "rival-energy"]) say(id, "…");
  try {
    const { tensors, report, released, late, passes, receipt } = await asked({ config, strength, picture: photo, key: key.public }, {
      planned: list,
      stepped: (index, done, of) => mark(index, undefined, done / of),
      arrived(content, usage, step) {
        showAir(content, usage);
        mark(step.index, duration(usage?.duration_s));
      },
      computed(index, seconds) {
        decoding += seconds;
        mark(index, `${duration(seconds)} here`);
      },
    });
    await show(tensors.image);
    keep(config.prompts[0], key, receipt);
    canvas("own").setAttribute("aria-label", `The picture of “${config.prompts[0]}” as this page decoded it`);
    say("own-name", name === "centralized" ? "sent as WebP" : `${name}, ${codec}`);
    say("own-time", duration(report?.duration_s));
    say("own-energy", energy(report?.energy_j));
    document.querySelectorAll("#steps li").forEach((item) => { if (item instanceof HTMLElement) item.dataset.state = "done"; });
    say("foot", `Times and joules are modelled, priced as ${report?.priced_as ?? "–"}. Really, this page computed for ${duration(decoding)}, the edge ran ${passes ?? "–"} passes of its denoiser, and ${late ?? 0} of ${released ?? "–"} frames were late. Fetched from this edge: ${(fetched / 1e6).toFixed(1)} MB.${tensors.draft_differs?.[0] ? " The edge's draft was another one than this page's." : ""}`);
    status("busy", "asking for the image codec");
    await compare({ config, strength });
    status("ready", `ready, model ${model}`);
  } catch (error) {
    fail(error);
  } finally {
    part("go", HTMLButtonElement).disabled = false;
  }
}

/** The picture that the best image codec delivers in the same uses; the edge makes it apart. @param {object} request */
async function compare(request) {
  const answer = await fetch(new URL("v1/opponent", base), {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify({ ...request, model, picture: photo && btoa(String.fromCharCode(...photo.values)) }),
  });
  const rival = part("rival", HTMLImageElement);
  rival.hidden = true;
  if (!answer.ok) {
    const { error } = await answer.json().catch(() => ({}));
    for (const id of ["own-psnr", "own-prompt", "rival-psnr", "rival-time", "rival-energy"]) say(id, "–");
    return say("rival-name", error?.message ?? `the edge answered ${answer.status}`);
  }
  const found = await answer.json();
  say("own-psnr", psnr(found.own_psnr_db));
  say("own-prompt", fidelity(found));
  say("rival-psnr", found.name ? psnr(found.psnr_db) : "–");
  say("rival-time", duration(found.duration_s));
  say("rival-energy", energy(found.energy_j));
  say("rival-name", found.name ? `${found.name.toUpperCase()}, ${whole(found.num_channel_uses)} uses` : "the picture is one already");
  if (!found.png) return;
  rival.src = `data:image/png;base64,${found.png}`;
  rival.alt = `The same picture as ${found.name} delivers it in as many channel uses`;
  rival.hidden = false;
}

/** A photo as a square of the model's size, the middle of it. @param {File} file */
async function take(file) {
  const bitmap = await createImageBitmap(file), cut = Math.min(bitmap.width, bitmap.height);
  const small = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = /** @type {CanvasRenderingContext2D} */ (small.getContext("2d"));
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (bitmap.width - cut) / 2, (bitmap.height - cut) / 2, cut, cut, 0, 0, side, side);
  const { data } = context.getImageData(0, 0, side, side), area = side * side, values = new Uint8Array(3 * area);
  for (let k = 0; k < area; k++) for (let c = 0; c < 3; c++) values[c * area + k] = data[4 * k + c];
  photo = { shape: [3, side, side], values };
}

async function start() {
  part("examples", HTMLElement).append(...EXAMPLES.map((words) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: words });
    button.onclick = () => { input("prompt").value = words; void warn(); };
    return button;
  }));
  if (token) part("to-dashboard", HTMLAnchorElement).href = `dashboard${location.hash}`;
  settle();
  brain.watch = (event) => {
    if (event.event === "fetched") fetched += event.bytes;
    else if (event.event === "pass") mark(event.index, undefined, event.done / event.of);
  };
  try {
    status("wait", "loading the decoder");
    const index = await brain.ask("start", new URL("device/", base).href, new URL("ort.wasm", base).href, token);
    await use(index.model);
    void warn();
    part("go", HTMLButtonElement).disabled = false;
    status("ready", `ready, model ${model}`);
  } catch (error) {
    fail(error);
  }
}

text("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!part("go", HTMLButtonElement).disabled && input("prompt").value.trim()) void generate();
});
document.addEventListener("input", settle);
document.addEventListener("change", ({ target }) => {
  // The denoiser takes a while to load, so it begins when its protocol is chosen.
  if (target instanceof HTMLInputElement && target.name === "protocol" && /ciag|esuc|draft/.test(target.value)) void brain.ask("load").catch(() => {});
});
input("prompt").addEventListener("change", () => void warn());
text("save").addEventListener("click", () => void save().catch(fail));
text("dice").addEventListener("click", () => { input("number").value = String(Math.floor(Math.random() * 1e6)); });
input("photo").addEventListener("change", async ({ target }) => {
  const [file] = /** @type {HTMLInputElement} */ (target).files ?? [];
  try {
    if (file) await take(file);
  } catch {
    fail(new Error("photo: this file is no picture that the browser reads; choose another"));
  }
  settle();
  await weigh().catch(fail);
});
text("no-photo").addEventListener("click", () => {
  photo = null;
  input("photo").value = "";
  settle();
  void weigh();
});
void start();
