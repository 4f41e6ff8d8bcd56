/**
 * Builds the page into the package: node build.mjs [FOLDER]
 *
 * Bundles are minified and have no hash in their names, so that the same sources give the same bytes. The binary of the
 * runtime is packed by Python, as pack.py says; $PYTHON names one, else it is python3.
 */

import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, "..", "src", "gainnet", "service", "page", "static");
const runtime = join(here, "node_modules", "onnxruntime-web");
mkdirSync(folder, { recursive: true });

await build({
  entryPoints: { page: join(here, "src/main.js"), worker: join(here, "src/worker.js"), dashboard: join(here, "src/dashboard.js") },
  outdir: folder,
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  // The runtime has code for Node that a browser never reaches.
  external: ["node:*", "module", "worker_threads", "fs", "path", "url", "os"],
  logLevel: "warning",
});
for (const name of readdirSync(join(here, "static"))) copyFileSync(join(here, "static", name), join(folder, name));

const wasm = join(runtime, "dist", "ort-wasm-simd-threaded.wasm");
execFileSync(process.env.PYTHON || "python3", [join(here, "pack.py"), wasm, join(folder, "ort.wasm.xz")], { stdio: "inherit" });

/** Both are MIT: one text, with whom each belongs to. */
const parts = [["onnxruntime-web", "worker.js and ort.wasm.xz", "Copyright (c) Microsoft Corporation"],
  ["@noble/curves", "page.js", "Copyright (c) 2022 Paul Miller (https://paulmillr.com)"],
  ["@noble/hashes", "page.js", "Copyright (c) 2022 Paul Miller (https://paulmillr.com)"]].map(([name, where, owner]) => {
  const { version, license } = JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8"));
  if (license !== "MIT") throw new Error(`${name} is ${license} now: licences.txt has to say so`);
  return `${name} ${version}, in ${where}\n${owner}\n`;
});
writeFileSync(join(folder, "licences.txt"), `${parts.join("\n")}
MIT License

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
`);
