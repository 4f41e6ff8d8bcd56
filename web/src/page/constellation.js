/** The received symbols as points of a plane, each as strong as the receiver trusts it; bits as a raster. */

/**
 * Equalised symbols on a canvas, and their spread for those who cannot see it.
 * @param {HTMLCanvasElement} canvas
 * @param {import("../wire/frames.js").Symbols} symbols
 */
export function drawSymbols(canvas, { count, values, gain, noise }) {
  const { context, size, colours } = prepared(canvas), points = [];
  for (let k = 0; k < count; k++) {
    const [y, z, h, g] = [values[2 * k], values[2 * k + 1], gain[2 * k], gain[2 * k + 1]];
    const power = Math.max(h * h + g * g, 1e-9);
    points.push([(h * y + g * z) / power, (h * z - g * y) / power, power / (power + noise[k])]);
  }
  const radii = points.map(([x, y]) => Math.hypot(x, y)).sort((a, b) => a - b);
  // The few strongest symbols may lie outside: the others should fill the plane.
  const reach = Math.max(1.5, radii[Math.floor(0.97 * (radii.length - 1))] * 1.15), scale = (0.46 * size) / reach;
  context.strokeStyle = colours.line;
  context.lineWidth = size / 400;
  for (const radius of [1, 2, 3, 4].filter((r) => r <= reach)) {
    context.beginPath();
    context.arc(size / 2, size / 2, radius * scale, 0, 2 * Math.PI);
    context.stroke();
  }
  context.beginPath();
  context.moveTo(0.04 * size, size / 2);
  context.lineTo(0.96 * size, size / 2);
  context.moveTo(size / 2, 0.04 * size);
  context.lineTo(size / 2, 0.96 * size);
  context.stroke();
  context.fillStyle = colours.air;
  const dot = size * Math.min(0.011, Math.max(0.0045, 0.12 / Math.sqrt(count)));
  for (const [x, y, trust] of points) {
    context.globalAlpha = 0.2 + 0.65 * trust;
    context.beginPath();
    context.arc(size / 2 + x * scale, size / 2 - y * scale, dot, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
  const mean = radii.reduce((sum, r) => sum + r * r, 0) / Math.max(count, 1);
  canvas.setAttribute("aria-label", `${count} received symbols in the complex plane, mean power ${mean.toFixed(2)}`);
}

/**
 * Bits as small squares, row by row.
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array | null} string
 */
export function drawBits(canvas, string) {
  const { context, size, colours } = prepared(canvas), count = 8 * (string?.length ?? 0);
  canvas.setAttribute("aria-label", string ? `${count} received bits` : "Nothing arrived");
  if (!string) return;
  const columns = Math.max(8, Math.ceil(Math.sqrt(count))), cell = (0.92 * size) / columns;
  for (let k = 0; k < count; k++) {
    const bit = (string[k >> 3] >> (7 - (k & 7))) & 1;
    context.fillStyle = bit ? colours.air : colours.line;
    context.fillRect(0.04 * size + (k % columns) * cell, 0.04 * size + Math.floor(k / columns) * cell, cell * 0.84, cell * 0.84);
  }
}

/** @param {HTMLCanvasElement} canvas */
function prepared(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")), style = getComputedStyle(canvas);
  context.clearRect(0, 0, canvas.width, canvas.height);
  return { context, size: canvas.width, colours: { line: style.getPropertyValue("--line"), air: style.getPropertyValue("--air") } };
}
