/** The operator's view: the status of the edge once a second, drawn. */

import { energy, whole } from "./page/words.js";

/**
 * @typedef {Object} Request
 * @property {string} id
 * @property {string} kind
 * @property {string} protocol
 * @property {string} state
 * @property {number} begin_s
 * @property {number | null} end_s
 * @property {number} step
 * @property {number} num_steps
 * @property {number | null} num_channel_uses
 * @property {number | null} energy_j
 * @property {number | null} number by which ticks name it
 * @property {{ label: string, begin_s: number }[]} begun
 */
/** @typedef {{ begin_s: number, duration_s: number, network: string, rows: number, requests: number[] }} Tick */

const SHAPES = "http://www.w3.org/2000/svg";
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const base = new URL("./", location.href);
const MOST_ROWS = 16, PERIOD_MS = 1000;

/** @param {string} id */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * @param {string} kind
 * @param {Record<string, string | number>} attributes
 * @param {string} [content]
 */
function shape(kind, attributes, content) {
  const made = document.createElementNS(SHAPES, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  if (content !== undefined) made.textContent = content;
  return made;
}

/** @param {string} id @param {number} height @param {(width: number) => Element[]} draw */
function chart(id, height, draw) {
  const svg = part(id), width = Math.max(svg.clientWidth, 200);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", String(height));
  svg.replaceChildren(...draw(width));
}

/** @param {number} seconds */
function ago(seconds) {
  const past = Math.abs(seconds);
  return past < 90 ? `${past.toFixed(past < 10 ? 1 : 0)} s` : past < 5400 ? `${Math.round(past / 60)} min` : `${(past / 3600).toFixed(1)} h`;
}

/** @param {[string, string, string?][]} tiles */
function showTiles(tiles) {
  part("tiles").replaceChildren(...tiles.map(([label, value, note]) => {
    const tile = Object.assign(document.createElement("div"), { className: "tile" });
    const name = Object.assign(document.createElement("span"), { textContent: label });
    const number = Object.assign(document.createElement("b"), { textContent: value });
    tile.append(name, number);
    if (note) tile.append(Object.assign(document.createElement("small"), { textContent: ` ${note}` }));
    return tile;
  }));
}

/** @param {string} id @param {string[][]} rows @param {number} columns @param {string} none */
function fill(id, rows, columns, none) {
  part(id).replaceChildren(...(rows.length ? rows : [[none]]).map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((content) => Object.assign(document.createElement("td"),
      rows.length ? { textContent: content } : { textContent: content, colSpan: columns, className: "none" })));
    return row;
  }));
}

/**
 * A step of a plan: computed by an edge, on the air, or left to the device.
 * @param {string} label
 */
const kindOf = (label) => (label.includes("->") ? "wave" : /device$/.test(label) ? "device" : "edge");

/**
 * The steps of a request, each from its beginning to that of the next one.
 * @param {Request} request
 */
function segments({ begun, begin_s, end_s, state }) {
  const waited = begun.length ? begun[0].begin_s : end_s ?? 0, end = end_s ?? 0;
  const ends = begun.map((_, k) => begun[k + 1]?.begin_s ?? end);
  const steps = begun.map(({ label, begin_s: from }, k) => ({ label, from, to: Math.max(ends[k], from), kind: kindOf(label) }));
  if (state === "failed" || state === "cancelled") return [{ label: state, from: begin_s, to: end, kind: "failed" }];
  return [{ label: "waits", from: begin_s, to: waited, kind: "queued" }, ...steps];
}

/** What a request came to, in words. @param {Request} request @param {boolean} isNarrow */
function costs({ num_channel_uses: uses, energy_j: joules, state, step, num_steps: of }, isNarrow) {
  if (joules !== null) return `${uses === null || isNarrow ? "" : `${whole(uses)} uses, `}${energy(joules)}`;
  return state === "running" ? `step ${Math.min(step, of)} of ${of}` : state;
}

/** @param {Request[]} requests @param {Tick[]} ticks */
function drawTimeline(requests, ticks) {
  const shown = requests.slice(-MOST_ROWS), row = 22, left = 92;
  const isNarrow = part("timeline").clientWidth < 480, right = isNarrow ? 72 : 128;
  const begin = Math.min(-5, ...shown.map((each) => each.begin_s)), height = Math.max(shown.length, 1) * row + 24;
  part("timeline-note").textContent = shown.length ? `The last ${shown.length}, and what each came to; a line is a pass of the denoiser.` : "No request yet.";
  chart("timeline", height, (width) => {
    /** @param {number} seconds */
    const x = (seconds) => left + ((seconds - begin) / -begin) * (width - left - right);
    const marks = (isNarrow ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1]).map((share) => begin * (1 - share)).flatMap((seconds) => [
      shape("line", { class: "rule", x1: x(seconds), x2: x(seconds), y1: 0, y2: height - 18 }),
      shape("text", { x: x(seconds), y: height - 4, "text-anchor": seconds === 0 ? "end" : "middle" }, seconds === 0 ? "now" : `−${ago(seconds)}`),
    ]);
    const bars = shown.flatMap((each, k) => {
      const y = k * row + 4, opacity = each.end_s === null ? 0.55 : 0.9;
      const bars = segments(each).map(({ label, from, to, kind }) => {
        const bar = shape("rect", { class: kind, x: x(from), y, width: Math.max(x(to) - x(from), 1.5), height: 13, rx: 2, opacity });
        bar.append(shape("title", {}, `${label}, ${ago(to - from)}`));
        return bar;
      });
      const own = ticks.filter((tick) => tick.network === "unet" && tick.requests.includes(each.number ?? -1));
      // Lines that stand too close would cover the bar.
      const isDense = own.length > 1 && x(own[own.length - 1].begin_s) - x(own[0].begin_s) < 4 * own.length;
      const passes = (isDense ? [] : own).map((tick) =>
        shape("line", { x1: x(tick.begin_s), x2: x(tick.begin_s), y1: y, y2: y + 13, stroke: "var(--card)", "stroke-width": 1 }));
      return [
        shape("text", { class: "strong", x: 0, y: y + 11 }, each.protocol || each.kind), ...bars, ...passes,
        shape("text", { x: width, y: y + 11, "text-anchor": "end" }, costs(each, isNarrow)),
      ];
    });
    return [...marks, ...bars];
  });
}

/** @param {Tick[]} ticks @param {number} most */
function drawOccupancy(ticks, most) {
  const shown = ticks.filter((tick) => tick.network === "unet").slice(-120), height = 150;
  chart("occupancy", height, (width) => {
    const step = (width - 26) / Math.max(shown.length, 40), peak = Math.max(most, 1);
    /** @param {number} rows */
    const y = (rows) => height - 16 - (rows / peak) * (height - 26);
    const rules = [0, peak / 2, peak].flatMap((rows) => [
      shape("line", { class: "rule", x1: 24, x2: width, y1: y(rows), y2: y(rows) }), shape("text", { x: 0, y: y(rows) + 4 }, whole(rows)),
    ]);
    return [...rules, ...shown.map((tick, k) => shape("rect", {
      class: "edge", x: width - (shown.length - k) * step, y: y(tick.rows), width: Math.max(step - 1, 1), height: y(0) - y(tick.rows), rx: 1.5, opacity: 0.85,
    }))];
  });
}

/** @param {{ nodes: any[], links: any[] }} topology @param {any[]} connected */
function drawTopology({ nodes, links }, connected) {
  const edges = nodes.filter((node) => node.kind === "edge"), devices = connected.filter((each) => each.kind === "device").slice(0, 8);
  const height = 190;
  chart("topology", height, (width) => {
    /** @param {number} k @param {number} of */
    const x = (k, of) => ((k + 0.5) / Math.max(of, 1)) * width;
    const wired = edges.slice(1).map((_, k) => shape("line", { class: "rule", x1: x(0, edges.length), y1: 46, x2: x(k + 1, edges.length), y2: 46 }));
    const air = devices.map((_, k) => shape("path", { class: "air", d: `M${x(0, edges.length)} 62 Q${x(0, edges.length)} 105 ${x(k, devices.length)} 128` }));
    const tops = edges.flatMap((node, k) => [
      shape("circle", { class: `ring edge ${node.alive === false ? "dead" : ""}`, cx: x(k, edges.length), cy: 46, r: 15 }),
      shape("text", { class: "strong", x: x(k, edges.length), y: 20, "text-anchor": "middle" }, node.name),
    ]);
    const bottoms = devices.flatMap((device, k) => [
      shape("circle", { class: "ring device", cx: x(k, devices.length), cy: 140, r: 11 }),
      shape("text", { x: x(k, devices.length), y: 170, "text-anchor": "middle" }, device.name),
    ]);
    const none = devices.length ? [] : [shape("text", { x: width / 2, y: 150, "text-anchor": "middle" }, "no device is connected")];
    const names = [...new Set(links.map((link) => link.medium))].join(", ");
    part("topology").setAttribute("aria-label", `${edges.length} edges, ${devices.length} devices, over ${names || "nothing"}`);
    return [...wired, ...air, ...tops, ...bottoms, ...none];
  });
}

/** @param {any} found */
function show(found) {
  const { engine, counts, energy: spent, uses, requests, topology, connected, failures } = found;
  part("status").dataset.state = found.ready && !found.draining ? "ready" : "busy";
  part("status").textContent = found.draining ? "draining" : found.ready ? "serving" : "starting";
  showTiles([
    ["Open", whole(engine.open), `${whole(engine.waiting)} waiting`],
    ["Rows per pass", engine.occupancy.toFixed(1), `of ${whole(engine.most_batch)}`],
    ["Done", whole(counts.done), `of ${whole(counts.accepted)}`],
    ["Failed", whole(counts.failed), `${whole(counts.refused)} refused`],
    ["Late", whole(counts.late), `${whole(counts.late_frames)} frames`],
    ["Uses", whole(uses.down), `${whole(uses.up)} up`],
    ["Modelled", energy(spent.modelled_j)],
    ["Processor", `${spent.cpu_s.toFixed(1)} s`, `up ${ago(found.uptime_s)}`],
  ]);
  drawTimeline(requests, engine.ticks);
  drawOccupancy(engine.ticks, engine.most_batch);
  drawTopology(topology, connected);
  fill("connected", connected.map((/** @type {any} */ each) => [each.name, each.kind, whole(each.requests ?? 0)]), 3, "Nobody right now.");
  fill("failures", failures.map((/** @type {any} */ each) => [each.node, String(each.step ?? "–"), each.what, `${ago(each.at_s)} ago`]).reverse(), 4, "None.");
  part("foot").textContent = `gainnet ${found.version}, model ${found.model}, computed by ${found.runtime}. Passes: ${Object.entries(engine.passes).map(([name, count]) => `${name} ${whole(/** @type {number} */ (count))}`).join(", ") || "none yet"}.`;
}

async function watch() {
  try {
    const answer = await fetch(new URL("v1/status", base), { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (!answer.ok) throw new Error(answer.status === 401 ? "a token is needed: open the address that the edge printed" : `the edge answered ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    part("status").dataset.state = "bad";
    part("status").textContent = error instanceof TypeError ? "the edge cannot be reached" : /** @type {Error} */ (error).message;
  }
  setTimeout(watch, PERIOD_MS);
}

if (token) /** @type {HTMLAnchorElement} */ (part("to-device")).href = `./${location.hash}`;
void watch();
