/**
 * Drives the page in a real browser, whose program is in BROWSER: node browser.mjs chromium|firefox URL RUNS [SCREENSHOTS]
 *
 * RUNS is a JSON list of settings, each {protocol, codec?, prompt?, snr?, uses?, fading?, cut?, number?, photo?}. Prints one JSON
 * object: what the page said, drew and saved in each run, and what it did that it must not do. Strings are never evaluated, as
 * the page's policy forbids it.
 */

const [kind, url, runs, screenshots] = process.argv.slice(2);
const { page, close } = await opened(kind);
const said = { isSecureContext: false, violations: [], outside: [], pictures: [], errors: [], widths: {}, runs: [] };

page.on("console", (message) => { if (/Content.Security.Policy|violates/i.test(message.text())) said.violations.push(message.text()); });
page.on("pageerror", (error) => said.errors.push(error.message));
page.on("request", (request) => { if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).host !== new URL(url).host) said.outside.push(request.url()); });
page.on("response", (response) => {
  const type = response.headers()["content-type"] ?? "";
  if (/^image\/(?!svg)/.test(type) && !response.url().startsWith("data:") && !response.url().startsWith("blob:")) said.pictures.push(response.url());
});

await page.goto(url);
await until("ready");
said.isSecureContext = await page.evaluate(() => isSecureContext);
for (const settings of JSON.parse(runs)) said.runs.push(await run(settings));
for (const width of [390, 1280]) {
  // Firefox of the stable release cannot turn its screen, which the driver asks for with every size.
  await resize(width).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 200));
  const [inner, scroll] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth]);
  if (inner === width) said.widths[width] = scroll;
  if (screenshots) await page.screenshot({ path: `${screenshots}/${kind}-${width}.png`, fullPage: true });
}
console.log(JSON.stringify(said));
await close();

/** @param {string} name */
async function opened(name) {
  if (name === "chromium") {
    const { chromium } = await import("playwright-core");
    const browser = await chromium.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox"] });
    return { page: await browser.newPage({ colorScheme: process.env.SCHEME }), close: () => browser.close() };
  }
  const { default: puppeteer } = await import("puppeteer-core");
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: process.env.BROWSER, headless: true });
  return { page: await browser.newPage(), close: () => browser.close() };
}

/** @param {number} width */
async function resize(width) {
  return "setViewport" in page ? page.setViewport({ width, height: 800 }) : page.setViewportSize({ width, height: 800 });
}

/** @param {string} wanted */
async function until(wanted) {
  for (let k = 0; k < 1200; k++) {
    const state = await page.evaluate(() => document.getElementById("status").dataset.state);
    if (state === wanted) return;
    if (state === "bad") throw new Error(await page.evaluate(() => document.getElementById("error").textContent));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("the page took too long");
}

/** @param {Record<string, any>} settings */
async function run({ photo, ...settings }) {
  if (photo) {
    const field = await page.$("#photo");
    await (field.setInputFiles ? field.setInputFiles(photo) : field.uploadFile(photo));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await page.evaluate((given) => {
    const set = (id, value) => {
      const field = document.getElementById(id);
      field.value = value;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const choice = document.querySelector(`input[name=protocol][value=${given.protocol}]`);
    choice.checked = true;
    choice.dispatchEvent(new Event("input", { bubbles: true }));
    for (const [name, value] of Object.entries(given)) if (name !== "protocol") set(name, value);
    document.getElementById("prompt").dispatchEvent(new Event("change"));
  }, settings);
  // With the keyboard alone.
  await page.focus("#prompt");
  await page.keyboard.press("Enter");
  await new Promise((resolve) => setTimeout(resolve, 100));
  await until("ready");
  const saved = await save();
  return page.evaluate((saved) => {
    const canvas = document.getElementById("own"), area = canvas.width * canvas.height;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const rgb = new Uint8Array(3 * area);
    for (let k = 0; k < area; k++) for (let c = 0; c < 3; c++) rgb[3 * k + c] = data[4 * k + c];
    const texts = {};
    for (const id of ["own-psnr", "own-time", "own-energy", "air-uses", "rival-name", "rival-psnr", "unknown", "foot"]) texts[id] = document.getElementById(id).textContent;
    const rival = document.getElementById("rival");
    return { texts, rival: rival.hidden ? null : rival.src, saved, warned: !document.getElementById("unknown").hidden, pixels: btoa(String.fromCharCode(...rgb)) };
  }, saved);
}

/** Name and content of the file that the page saves: the bytes are taken where it hands them to the browser. */
async function save() {
  const downloads = page.waitForEvent?.("download");
  await page.evaluate(() => {
    const give = URL.createObjectURL;
    URL.createObjectURL = (file) => {
      const reader = new FileReader();
      reader.onload = () => { globalThis.saved = reader.result; };
      reader.readAsDataURL(file);
      URL.createObjectURL = give;
      return give.call(URL, file);
    };
    document.getElementById("save").click();
  });
  for (let k = 0; k < 100 && !(await page.evaluate(() => globalThis.saved)); k++) await new Promise((resolve) => setTimeout(resolve, 50));
  const png = await page.evaluate(() => { const { saved } = globalThis; delete globalThis.saved; return saved.split(",")[1]; });
  return { name: downloads && (await downloads).suggestedFilename(), png };
}
