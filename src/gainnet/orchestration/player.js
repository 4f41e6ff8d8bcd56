"use strict";
(() => {
  const data = JSON.parse(document.getElementById("traffic").textContent);
  const at = (id) => document.getElementById(id);
  const GREY = "#57606a", LIGHT = "#d8dee4", AWAY = -1, END = data.num_rounds * data.duration_s;
  const state = { time: 0, policy: 0, client: 0, playing: false, last: 0 };

  // Canvases are as wide as their column, and as sharp as the screen.
  function canvas(id, ratio) {
    const element = at(id), width = element.clientWidth || 300, height = Math.round(width * ratio), scale = devicePixelRatio || 1;
    if (element.width !== Math.round(width * scale) || element.height !== Math.round(height * scale)) {
      element.width = Math.round(width * scale);
      element.height = Math.round(height * scale);
      element.style.height = height + "px";
    }
    const pen = element.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    return { pen, width, height };
  }

  const round = () => Math.min(data.num_rounds - 1, Math.floor(state.time / data.duration_s + 1e-9));

  // Straight between the two positions around a time; null for who is away at either.
  function places(rows) {
    const exact = Math.min(rows.length - 1, (state.time / data.duration_s) * data.steps), low = Math.floor(exact);
    const one = rows[low], other = rows[Math.min(low + 1, rows.length - 1)], share = exact - low, found = [];
    for (let k = 0; k < one.length; k += 2) {
      const gone = [one[k], other[k]].includes(AWAY) && [one[k + 1], other[k + 1]].includes(AWAY);
      found.push(gone ? null : [one[k] + share * (other[k] - one[k]), one[k + 1] + share * (other[k + 1] - one[k + 1])]);
    }
    return found;
  }

  let shown = [];
  function drawMap() {
    const { pen, width } = canvas("map", 1), pad = 10, unit = (width - 2 * pad) / data.side;
    const x = (p) => pad + p[0] * unit, y = (p) => width - pad - p[1] * unit;
    pen.strokeStyle = LIGHT;
    pen.lineWidth = 2.5;
    for (const road of data.roads) {
      pen.beginPath();
      for (let k = 0; k < road.length; k += 2) pen.lineTo(x([road[k]]), y([0, road[k + 1]]));
      pen.stroke();
    }
    places(data.targets).forEach((p, k) => {
      if (!p) return;
      pen.fillStyle = data.domains[data.domain[k] % data.domains.length];
      pen.globalAlpha = 0.6;
      pen.fillRect(x(p) - 2, y(p) - 2, 4, 4);
    });
    const policy = data.policies[state.policy], cr = round(), small = data.clients[0].length > 400;
    shown = places(data.clients).map((p) => p && [x(p), y(p)]);
    shown.forEach((p, n) => {
      if (!p) return;
      const model = policy.model[cr][n], senses = policy.sensed[cr][n] > 0, edge = data.edges[data.edge_of_model[model]];
      pen.strokeStyle = pen.fillStyle = data.colours[model];
      if (senses) {
        pen.globalAlpha = n === state.client ? 1 : 0.35;
        pen.lineWidth = n === state.client ? 2.5 : small ? 0.4 : 1;
        pen.beginPath();
        pen.moveTo(p[0], p[1]);
        pen.lineTo(x(edge), y(edge));
        pen.stroke();
      }
      pen.globalAlpha = 1;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.arc(p[0], p[1], small ? 2 : 4.5, 0, 7);
      if (!senses) pen.fillStyle = "#fff";
      pen.fill();
      pen.stroke();
      if (n === state.client) {
        pen.strokeStyle = "#000";
        pen.beginPath();
        pen.arc(p[0], p[1], 9, 0, 7);
        pen.stroke();
      }
    });
    pen.globalAlpha = 1;
    data.edges.forEach((edge, k) => {
      pen.fillStyle = "#000";
      pen.beginPath();
      pen.moveTo(x(edge), y(edge) - 9);
      pen.lineTo(x(edge) + 8, y(edge) + 6);
      pen.lineTo(x(edge) - 8, y(edge) + 6);
      pen.fill();
      pen.fillText(String(k + 1), x(edge) + 10, y(edge) + 5);
    });
  }

  function drawModels() {
    const policy = data.policies[state.policy], cr = round(), num = data.edge_of_model.map(() => 0), samples = [...num];
    policy.sensed[cr].forEach((x, n) => {
      if (x > 0) num[policy.model[cr][n]] += 1;
      samples[policy.model[cr][n]] += x;
    });
    const most = Math.max(1, ...samples), box = at("models");
    box.replaceChildren();
    samples.forEach((x, m) => {
      const name = document.createElement("span"), bar = document.createElement("div"), text = document.createElement("span");
      name.textContent = `model ${m + 1} (edge ${data.edge_of_model[m] + 1})`;
      bar.style.width = `${(100 * x) / most}%`;
      bar.style.background = data.colours[m];
      text.textContent = `${num[m]} client${num[m] === 1 ? "" : "s"}, ${x.toFixed(0)} samples`;
      box.append(name, bar, text);
    });
    const total = (rows) => rows.slice(0, cr + 1).flat().reduce((a, b) => a + b, 0);
    const sensed = total(policy.sensed), trained = total(policy.trained);
    at("sums").textContent =
      `So far ${sensed.toFixed(0)} samples sensed, of which ${trained.toFixed(0)} are trained in the round after; ` +
      `the rest is lost where reception became worse.`;
  }

  function drawGain() {
    const { pen, width, height } = canvas("gain", 0.5), left = 34, bottom = 20, top = 8;
    const rows = data.policies.map((policy) => policy.gain);
    const most = Math.max(...rows.flat(), ...(data.reference ? data.reference.gain : []), 1e-9);
    const x = (k) => left + ((width - left - 8) * (k + 0.5)) / data.num_rounds, y = (g) => height - bottom - ((height - bottom - top) * g) / most;
    pen.fillStyle = GREY;
    pen.strokeStyle = LIGHT;
    for (const share of [0, 0.5, 1]) {
      pen.fillText((most * share).toPrecision(2), 2, y(most * share) + 4);
      pen.beginPath();
      pen.moveTo(left, y(most * share));
      pen.lineTo(width, y(most * share));
      pen.stroke();
    }
    const every = Math.ceil(data.num_rounds / 12);
    for (let k = 0; k < data.num_rounds; k += every) pen.fillText(String(k + 1), x(k) - 3, height - 5);
    function line(gain, colour, thick, dash) {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.setLineDash(dash);
      pen.beginPath();
      gain.forEach((g, k) => pen.lineTo(x(k), y(g)));
      pen.stroke();
      if (gain.length === 1) pen.strokeRect(x(0) - 2, y(gain[0]) - 2, 4, 4);
      pen.setLineDash([]);
    }
    rows.forEach((gain) => line(gain, "#b6c2cf", 1, []));
    line(rows[state.policy], "#D55E00", 3, []);
    if (data.reference) line(data.reference.gain, "#000", 1.5, [3, 3]);
    const here = left + ((width - left - 8) * state.time) / END;
    pen.strokeStyle = GREY;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(here, top);
    pen.lineTo(here, height - bottom);
    pen.stroke();
  }

  // Matrices in rows, or two beside each other where there is room, with the time of the CR across each.
  function matrices(id, names, each, side) {
    const wide = side && at(id).clientWidth > 520 ? 2 : 1, gap = 22, left = 4, rows = Math.ceil(names.length / wide);
    const { pen, width } = canvas(id, (rows * (each + gap)) / (at(id).clientWidth || 300));
    const across = width / wide - 2 * left - (wide > 1 ? 8 : 0);
    const place = (k) => [left + (k % wide) * (width / wide + 4), Math.floor(k / wide) * (each + gap) + gap - 2];
    names.forEach((name, k) => {
      const [x, y] = place(k);
      pen.fillStyle = GREY;
      pen.fillText(name, x, y - 5);
      pen.strokeStyle = "#8c959f";
      pen.lineWidth = 1;
      pen.strokeRect(x, y, across, each);
    });
    return {
      pen,
      fill(k, start, end, low, high, colour) {
        const [x, y] = place(k), box = [x + across * start, y + each * (1 - high), across * (end - start), each * (high - low)];
        pen.fillStyle = colour;
        pen.fillRect(...box);
        pen.strokeStyle = "#fff";
        pen.strokeRect(...box);
      },
      cursor(share) {
        pen.strokeStyle = "#000";
        pen.lineWidth = 1.5;
        names.forEach((_, k) => {
          const [x, y] = place(k);
          pen.beginPath();
          pen.moveTo(x + across * share, y);
          pen.lineTo(x + across * share, y + each);
          pen.stroke();
        });
      },
    };
  }

  const within = () => Math.min(1, state.time / data.duration_s - round());

  function drawBoard() {
    const board = matrices("board", ["share of bandwidth", "share of computing"], 90, false);
    const rows = data.boards.length ? data.boards[round()][state.client] : [];
    for (const [activity, , matrix, start, end, low, high] of rows)
      board.fill(matrix, start / data.duration_s, end / data.duration_s, low, high, data.activities[activity][1]);
    if (!data.boards.length) board.pen.fillText("too many clients for boards", 12, 60);
    else if (!rows.length) board.pen.fillText("nothing in this round", 12, 60);
    if (state.policy !== 0) board.pen.fillText(`as ${data.policies[0].label} decides`, 140, 14);
    board.cursor(within());
  }

  function drawCells() {
    if (!data.together) return;
    const names = data.edges.flatMap((_, e) => [`edge ${e + 1}: spectrum`, `edge ${e + 1}: computing`]);
    const cells = matrices("cells", names, 48, true), { training, requests } = data.together[round()];
    data.edges.forEach((_, e) =>
      [0, 1].forEach((pool) =>
        training[pool][e].forEach((mine, s) => {
          const num = training[pool][e].length, theirs = requests[pool][e][s];
          if (theirs) cells.fill(2 * e + pool, s / num, (s + 1) / num, 0, theirs / 100, "#0072B2");
          if (mine) cells.fill(2 * e + pool, s / num, (s + 1) / num, theirs / 100, Math.min(1, (theirs + mine) / 100), "#D55E00");
        }),
      ),
    );
    cells.cursor(within());
  }

  function draw() {
    const cr = round();
    at("time").value = state.time;
    at("now").textContent = `round ${cr + 1} of ${data.num_rounds}, ${state.time.toFixed(1)} s`;
    at("time").setAttribute("aria-valuetext", at("now").textContent);
    drawMap();
    drawModels();
    drawGain();
    drawBoard();
    drawCells();
  }

  function step(now) {
    if (!state.playing) return;
    // A CR takes three seconds, however long it is.
    state.time += ((now - state.last) / 3000) * data.duration_s;
    state.last = now;
    if (state.time >= END) {
      state.time = END;
      toggle();
    }
    draw();
    if (state.playing) requestAnimationFrame(step);
  }

  function toggle() {
    state.playing = !state.playing;
    at("play").textContent = state.playing ? "Stop" : "Play";
    at("play").setAttribute("aria-pressed", String(state.playing));
    if (!state.playing) return;
    if (state.time >= END) state.time = 0;
    state.last = performance.now();
    requestAnimationFrame(step);
  }

  function choose(client) {
    const num = data.clients[0].length / 2;
    state.client = (client + num) % num;
    at("client").value = state.client;
    draw();
  }

  function options(id, texts, change) {
    at(id).replaceChildren(...texts.map((text, k) => new Option(text, k)));
    at(id).addEventListener("change", (event) => change(Number(event.target.value)));
  }

  function keys(id, rows) {
    at(id).replaceChildren(
      ...rows.map(([text, colour]) => {
        const item = document.createElement("li"), mark = document.createElement("i");
        mark.style.background = colour;
        item.append(mark, text);
        return item;
      }),
    );
  }

  at("time").max = END;
  options("policy", data.policies.map((policy) => policy.label), (k) => ((state.policy = k), draw()));
  options("client", Array.from({ length: data.clients[0].length / 2 }, (_, n) => n + 1), choose);
  at("time").addEventListener("input", (event) => ((state.time = Number(event.target.value)), draw()));
  at("play").addEventListener("click", toggle);
  at("map").addEventListener("click", (event) => {
    const distance = shown.map((p) => (p ? Math.hypot(p[0] - event.offsetX, p[1] - event.offsetY) : Infinity));
    choose(distance.indexOf(Math.min(...distance)));
  });
  document.addEventListener("keydown", (event) => {
    const own = ["SELECT", "SUMMARY", "A"].includes(event.target.tagName);
    if (own || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key === " " && event.target.tagName !== "BUTTON") toggle();
    else if (event.key in moves) {
      state.time = Math.max(0, Math.min(END, state.time + (moves[event.key] * data.duration_s) / data.steps));
      draw();
    } else if (event.key === "n" || event.key === "p") choose(state.client + (event.key === "n" ? 1 : -1));
    else return;
    event.preventDefault();
  });
  keys("map-keys", [
    ...data.colours.map((colour, m) => [`trains model ${m + 1}`, colour]),
    ["triangle: edge", "#000"],
    ["small square: target, in the colour of its domain", GREY],
    ["hollow: senses nothing", "#fff"],
  ]);
  keys("gain-keys", [
    ["the policy", "#D55E00"],
    ["others", "#b6c2cf"],
    ...(data.reference ? [[data.reference.name, "#000"]] : []),
  ]);
  keys("board-keys", data.activities);
  keys("cells-keys", [["requests of users", "#0072B2"], ["training", "#D55E00"]]);
  at("edges").hidden = !data.together;
  addEventListener("resize", draw);
  draw();
})();
