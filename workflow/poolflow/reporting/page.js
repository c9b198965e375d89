"use strict";
const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = ["#0173b2", "#de8f05", "#029e73", "#d55e00", "#a65ec9", "#ca9161", "#e377c2", "#7f7f7f", "#b8a800", "#2aa7cf"];
const MARKS = ["square", "diamond", "triangle", "circle"];
const [W, H, LEFT, RIGHT, TOP, BOTTOM] = [380, 270, 48, 10, 26, 40];

function style(names) {  // black for random, a colour and a mark for each other; the same name has the same everywhere
  const others = names.filter(name => name !== "random");
  return new Map(names.map(name => {
    const at = others.indexOf(name);
    return [name, at < 0 ? {colour: "var(--text)", mark: "circle"}
      : {colour: COLOURS[at % COLOURS.length], mark: MARKS[(at + Math.floor(at / COLOURS.length)) % MARKS.length]}];
  }));
}
function node(name, attributes, parent, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
function html(name, attributes, parent, text) {
  const made = document.createElement(name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  if (text !== undefined) made.textContent = text;
  if (parent) parent.appendChild(made);
  return made;
}
const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;
function spread(values) {
  if (values.length < 2) return 0;
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
function ticks(low, high, count, whole) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 2.5, 5, 10].map(m => m * power).find(s => s >= rough * .999);
  if (whole) step = Math.max(1, Math.ceil(step));
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at++) found.push(+(at * step).toPrecision(12));
  return found;
}
const short = value => Math.abs(value) >= 1000 ? String(Math.round(value)) : String(+value.toPrecision(3));
function mark(kind, x, y, colour, parent) {
  const fill = {fill: colour, stroke: "var(--back)", "stroke-width": .8};
  if (kind === "circle") return node("circle", {cx: x, cy: y, r: 3.4, ...fill}, parent);
  const shape = {square: [[-3, -3], [3, -3], [3, 3], [-3, 3]], diamond: [[0, -4.2], [4.2, 0], [0, 4.2], [-4.2, 0]],
    triangle: [[0, -4], [4, 3.2], [-4, 3.2]]}[kind];
  return node("polygon", {points: shape.map(([dx, dy]) => `${x + dx},${y + dy}`).join(" "), ...fill}, parent);
}

function points(chain, metric, x) {  // [{x, y, low, high, seeds}], a point for each cycle that brought labels
  const cycles = [...new Set(chain.runs.flatMap(run => run.c))].sort((a, b) => a - b), found = [];
  let before = null;
  for (const cycle of cycles) {
    const xs = [], ys = [], labels = [];
    for (const run of chain.runs) {
      const at = run.c.indexOf(cycle);
      if (at < 0 || run.m[metric][at] === null || run[x][at] == null) continue;
      xs.push(run[x][at]); ys.push(run.m[metric][at]); labels.push(run.n[at]);
    }
    if (!ys.length || (before !== null && mean(labels) === before && cycle)) continue;
    before = mean(labels);
    const [y, sd] = [mean(ys), spread(ys)];
    found.push({x: mean(xs), y, sd, low: y - sd, high: y + sd, seeds: ys.length});
  }
  return found;
}

function Curves(section) {
  const study = DATA[+section.dataset.study], form = section.querySelector("form");
  const part = name => section.querySelector(name);
  const hidden = new Set();
  study.settings.forEach((setting, at) => html("option", {value: at}, form.setting, setting.name));
  study.metrics.forEach(metric => html("option", {value: metric}, form.metric, metric.replaceAll("_", " ")));
  const pools = setting => [...new Set(setting.chains.map(chain => chain.pool))];
  const strategies = setting => [...new Set(setting.chains.map(chain => chain.strategy))];
  if (strategies(study.settings[0]).length > 1) form.panel.value = "pool";
  if (!study.settings.some(setting => setting.chains.some(chain => chain.runs.some(run => run.s.length)))) form.x.lastElementChild.remove();
  if (!study.settings.some(setting => Object.keys(setting.differences).length)) form.show.lastElementChild.remove();

  function lines(setting, by, name) {
    const line = by === "strategy" ? "pool" : "strategy", accuracy = form.metric.value.endsWith("accuracy");
    const factor = accuracy ? 100 : 1, found = [];
    for (const chain of setting.chains.filter(chain => chain[by] === name)) {
      if (hidden.has(chain[line])) continue;
      let of;
      if (form.show.value === "difference") {
        const d = setting.differences[`${chain.pool}/${chain.strategy}`];
        if (!d) continue;
        of = d.n.map((n, at) => ({x: n, y: d.mean[at], low: d.low[at] ?? d.mean[at], high: d.high[at] ?? d.mean[at], seeds: d.k[at]}));
      } else of = points(chain, form.metric.value, form.x.value);
      of = of.map(p => ({...p, y: p.y * factor, sd: p.sd * factor, low: p.low * factor, high: p.high * factor}));
      if (accuracy && form.show.value === "value") of = of.map(p => ({...p, low: Math.max(0, p.low), high: Math.min(100, p.high)}));
      if (of.length) found.push({name: chain[line], panel: name, points: of});
    }
    return found;
  }

  function draw() {
    const difference = form.show.value === "difference", setting = study.settings[+form.setting.value];
    form.metric.disabled = form.x.disabled = difference;  // the differences are those of the study's metric, over labels
    if (difference) { form.metric.value = study.metric; form.x.value = "n"; }
    const by = form.panel.value, names = by === "strategy" ? strategies(setting) : pools(setting);
    const all = by === "strategy" ? pools(setting) : strategies(setting), styles = style(all);
    const panels = names.map(name => lines(setting, by, name)), every = panels.flat().flatMap(line => line.points);
    legend(all, styles);
    part(".panels").replaceChildren();
    if (every.length) {
      const range = (low, high) => { const pad = (high - low || Math.abs(high) || 1) * .04; return [low - pad, high + pad]; };
      const whole = difference ? undefined : setting.passive[form.metric.value];
      const passive = whole === undefined ? null : {n: setting.passive.n, y: whole * (form.metric.value.endsWith("accuracy") ? 100 : 1)};
      const xs = range(Math.min(...every.map(p => p.x)), Math.max(...every.map(p => p.x)));
      const ys = range(Math.min(...every.map(p => p.low), ...(difference ? [0] : []), ...(passive ? [passive.y] : [])), Math.max(...every.map(p => p.high), ...(difference ? [0] : []), ...(passive ? [passive.y] : [])));
      names.forEach((name, at) => panels[at].length && panel(name, panels[at], xs, ys, styles, by, passive));
    }
    table(panels.flat(), by);
  }

  function unit() {
    const metric = form.metric.value, words = metric.replaceAll("_", " ");
    return form.show.value === "difference" ? `difference in ${words}${metric.endsWith("accuracy") ? " (points)" : ""}`
      : words + (metric.endsWith("accuracy") ? " (%)" : metric.endsWith("loss") ? " (nats)" : "");
  }

  function panel(name, lines, [x0, x1], [y0, y1], styles, by, passive) {
    const svg = node("svg", {viewBox: `0 0 ${W} ${H}`, tabindex: 0, role: "img",
      "aria-label": `${unit()} of ${name}: ${lines.map(line => `${line.name} ends at ${short(line.points.at(-1).y)}`).join(", ")}`}, part(".panels"));
    const X = x => LEFT + (x - x0) / (x1 - x0) * (W - LEFT - RIGHT), Y = y => H - BOTTOM - (y - y0) / (y1 - y0) * (H - TOP - BOTTOM);
    for (const tick of ticks(y0, y1, 5)) {
      node("line", {x1: LEFT, x2: W - RIGHT, y1: Y(tick), y2: Y(tick), class: "grid"}, svg);
      node("text", {x: LEFT - 5, y: Y(tick) + 4, "text-anchor": "end"}, svg, short(tick));
    }
    for (const tick of ticks(x0, x1, 5, form.x.value === "n")) node("text", {x: X(tick), y: H - BOTTOM + 15, "text-anchor": "middle"}, svg, short(tick));
    if (form.show.value === "difference") node("line", {x1: LEFT, x2: W - RIGHT, y1: Y(0), y2: Y(0), class: "zero"}, svg);
    if (passive) {
      node("line", {x1: LEFT, x2: W - RIGHT, y1: Y(passive.y), y2: Y(passive.y), class: "passive"}, svg);
      node("text", {x: W - RIGHT - 3, y: Y(passive.y) + 12, "text-anchor": "end"}, svg, `passive: all ${passive.n.toLocaleString("en")}, ${short(passive.y)}`);
    }
    node("text", {x: (LEFT + W - RIGHT) / 2, y: H - 7, "text-anchor": "middle"}, svg, form.x.value === "n" ? "labelled images" : "seconds of training");
    node("text", {x: 12, y: (TOP + H - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + H - BOTTOM) / 2})`}, svg, unit());
    node("text", {x: LEFT, y: 15, class: "title"}, svg, name);
    for (const line of lines) {
      const {colour, mark: kind} = styles.get(line.name);
      const band = [...line.points.map(p => [X(p.x), Y(p.high)]), ...line.points.map(p => [X(p.x), Y(p.low)]).reverse()];
      node("polygon", {points: band.map(p => p.join()).join(" "), fill: colour, opacity: .13}, svg);
      node("polyline", {points: line.points.map(p => `${X(p.x)},${Y(p.y)}`).join(" "), fill: "none", stroke: colour, "stroke-width": 1.8}, svg);
      for (const p of line.points) mark(kind, X(p.x), Y(p.y), colour, svg);
    }
    const ring = node("circle", {r: 6.5, fill: "none", stroke: "var(--text)", "stroke-width": 1.6, visibility: "hidden"}, svg);
    let [which, at] = [0, 0];
    function say() {
      const line = lines[which], p = line.points[at];
      ring.setAttribute("cx", X(p.x)); ring.setAttribute("cy", Y(p.y)); ring.setAttribute("visibility", "visible");
      const around = p.seeds < 2 ? "" : form.show.value === "difference" ? ` [${short(p.low)}, ${short(p.high)}]` : ` ± ${short(p.sd)}`;
      part(".tip").textContent = `${line.name}, ${name}, ${short(p.x)} ${form.x.value === "n" ? "labels" : "s"}: ${short(p.y)}${around} (${p.seeds} seed${p.seeds === 1 ? "" : "s"})`;
    }
    svg.addEventListener("pointermove", event => {
      const box = svg.getBoundingClientRect(), mx = (event.clientX - box.left) * W / box.width, my = (event.clientY - box.top) * H / box.height;
      let best = Infinity;
      lines.forEach((line, l) => line.points.forEach((p, i) => {
        const far = (X(p.x) - mx) ** 2 + (Y(p.y) - my) ** 2;
        if (far < best) { best = far; [which, at] = [l, i]; }
      }));
      say();
    });
    svg.addEventListener("focus", say);
    svg.addEventListener("blur", () => ring.setAttribute("visibility", "hidden"));
    svg.addEventListener("pointerleave", () => ring.setAttribute("visibility", "hidden"));
    svg.addEventListener("keydown", event => {
      const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key];
      if (!step) return;
      event.preventDefault();
      which = (which + step[0] + lines.length) % lines.length;
      at = Math.min(Math.max(at + step[1], 0), lines[which].points.length - 1);
      say();
    });
  }

  function legend(names, styles) {
    const box = part(".legend");
    const focused = box.contains(document.activeElement) ? document.activeElement.textContent : null;
    box.replaceChildren();
    for (const name of names) {
      const button = html("button", {type: "button", "aria-pressed": !hidden.has(name)}, box);
      const svg = node("svg", {width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true"}, button), {colour, mark: kind} = styles.get(name);
      node("line", {x1: 0, x2: 14, y1: 7, y2: 7, stroke: colour, "stroke-width": 2}, svg);
      mark(kind, 7, 7, colour, svg);
      button.append(name);
      button.addEventListener("click", () => { hidden.has(name) ? hidden.delete(name) : hidden.add(name); draw(); });
      if (name === focused) button.focus();
    }
  }

  function table(lines, by) {
    const box = part(".numbers"), made = html("table", {}, null);
    const xs = [...new Set(lines.flatMap(line => line.points.map(p => p.x)))].sort((a, b) => a - b);
    const labels = form.x.value === "n" && xs.length <= 40;
    const columns = labels ? xs : [...Array(Math.max(0, ...lines.map(line => line.points.length))).keys()];
    html("caption", {}, made, `${unit()}: mean ${form.show.value === "difference" ? "[interval]" : "± std"}, by ${labels ? "labelled images" : "cycle"}`);
    const head = html("tr", {}, html("thead", {}, made));
    for (const word of [by === "strategy" ? "strategy" : "initial pool", by === "strategy" ? "initial pool" : "strategy", "seeds", ...columns.map(short)]) html("th", {scope: "col"}, head, word);
    const body = html("tbody", {}, made);
    for (const line of lines) {
      const row = html("tr", {}, body);
      html("th", {scope: "row"}, row, line.panel);
      html("th", {scope: "row"}, row, line.name);
      html("td", {}, row, [...new Set(line.points.map(p => p.seeds))].join(" to "));
      for (const column of columns) {
        const p = labels ? line.points.find(p => p.x === column) : line.points[column];
        const around = !p || p.seeds < 2 ? "" : form.show.value === "difference" ? ` [${p.low.toFixed(1)}, ${p.high.toFixed(1)}]` : ` ± ${form.metric.value.endsWith("accuracy") ? p.sd.toFixed(1) : short(p.sd)}`;
        html("td", {}, row, p ? (form.metric.value.endsWith("accuracy") ? p.y.toFixed(1) : short(p.y)) + around : "");
      }
    }
    box.replaceChildren(made);
  }

  form.addEventListener("change", draw);
  form.addEventListener("submit", event => event.preventDefault());
  draw();
}

document.querySelectorAll("section.curves").forEach(Curves);
let opened = [];
addEventListener("beforeprint", () => { opened = [...document.querySelectorAll("details:not([open])")]; opened.forEach(d => { d.open = true; }); });
addEventListener("afterprint", () => { opened.forEach(d => { d.open = false; }); });
