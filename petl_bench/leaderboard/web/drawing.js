// Draws curves, and scores against parameters.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const percent = (value) => (100 * value).toFixed(2);

function short(number) {
  if (number < 1e4) return number.toLocaleString("en");
  return number < 999950 ? (number / 1e3).toFixed(1) + "K" : (number / 1e6).toFixed(1) + "M";
}

/** About `wanted` round numbers from `low` to `high`. */
function rounds(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((its) => its >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step)
    found.push(Number(at.toPrecision(12)));
  return found;
}

function curve(curves, name, parts) {
  const [mean, low, high] = curves[name];
  const epochs = curves.epochs;
  const finite = [...low, ...high].filter((value) => value !== null);
  if (!finite.length) return make("p", {}, "not finite");
  const [width, height, left, bottom] = [Math.min(360, parts.clientWidth || 360), 130, 38, 20];
  const [least, most] = [Math.min(...finite), Math.max(...finite)];
  const x = (epoch) => left + ((epoch - epochs[0]) / (epochs.at(-1) - epochs[0] || 1)) * (width - left - 8);
  const y = (value) => height - bottom - ((value - least) / (most - least || 1)) * (height - bottom - 8);
  const said = `${name} from epoch ${epochs[0]} to ${epochs.at(-1)}`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said });
  svg.style.maxWidth = `${width}px`;
  for (const value of rounds(least, most, 3)) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - 8, y1: y(value), y2: y(value) }));
    svg.append(draw("text", { class: "tick", x: left - 5, y: y(value) + 4, "text-anchor": "end" }, String(value)));
  }
  for (const epoch of new Set([epochs[0], epochs.at(-1)]))
    svg.append(draw("text", { class: "tick", x: x(epoch), y: height - 4, "text-anchor": "middle" }, String(epoch)));
  const corner = (value, at) => (value === null ? null : `${x(epochs[at]).toFixed(1)},${y(value).toFixed(1)}`);
  const path = (values) => values.map(corner).filter(Boolean);
  svg.append(draw("polygon", { class: "band", points: [...path(high), ...path(low).reverse()].join(" ") }));
  let pen = "M"; // a mean that is not finite breaks the line
  const strokes = mean.map((value, at) => {
    const stroke = value === null ? "" : `${pen}${corner(value, at)}`;
    pen = value === null ? "M" : "L";
    return stroke;
  });
  svg.append(draw("path", { class: "line", d: strokes.join(" ") }));
  if (epochs.length === 1) svg.append(draw("circle", { cx: x(epochs[0]), cy: y(mean[0]), r: 3 }));
  return svg;
}

/** Points `{name, count, score, low, high, front, best, partial}`, scores as fractions; `on` has `enter`, `leave`, `click`. */
function scatter(place, points, on) {
  place.replaceChildren();
  place.parentElement.hidden = points.length < 2;
  const width = place.clientWidth;
  if (points.length < 2 || !width) return;
  const counts = points.map((point) => point.count).filter((its) => its > 0);
  const none = points.some((point) => point.count === 0); // stands a decade below all others
  const first = Math.floor(Math.log10(Math.min(...counts, 1e9))) - none;
  const last = Math.ceil(Math.log10(Math.max(...counts, 10)));
  const [least, most] = [Math.min(...points.map((its) => its.low)), Math.max(...points.map((its) => its.high))];
  const [height, left, bottom, right] = [300, 40, 36, 16];
  const x = (its) => left + (((its ? Math.log10(its) : first) - first) / (last - first || 1)) * (width - left - right);
  const y = (score) => 8 + ((most - score) / (most - least || 1)) * (height - bottom - 16);
  const front = points.filter((its) => its.front).sort((a, b) => a.count - b.count);
  const said = `${points.length} configurations; on the Pareto front: ${front.map((its) => its.name).join(", ")}`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said });
  const tick = (at, up, anchor, text) =>
    svg.append(draw("text", { class: "tick", x: at, y: up, "text-anchor": anchor }, text));
  for (const value of rounds(100 * least, 100 * most, 5)) {
    const up = y(value / 100);
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: up, y2: up }));
    tick(left - 6, up + 4, "end", String(value));
  }
  for (let power = first; power <= last; power++) {
    const zero = none && power === first;
    tick(x(zero ? 0 : 10 ** power), height - 20, "middle", zero ? "0" : short(10 ** power).replace(".0", ""));
  }
  tick((left + width) / 2, height - 4, "middle", "trained parameters, all but the head");
  const stair = front.map((its, at) => (at ? `H${x(its.count)} V${y(its.score)}` : `M${x(its.count)} ${y(its.score)}`));
  svg.append(draw("path", { class: "stair", d: stair.join(" ") }));
  for (const point of points) {
    const across = x(point.count);
    svg.append(draw("line", { class: "whisker", x1: across, x2: across, y1: y(point.low), y2: y(point.high) }));
  }
  for (const point of points) {
    const look = [point.front ? "on-front" : "", point.best ? "best" : "", point.partial ? "partial" : ""].join(" ");
    const dot = draw("circle", { cx: x(point.count), cy: y(point.score), r: 5, class: look });
    for (const [event, does] of [
      ["pointerenter", on.enter],
      ["pointerleave", on.leave],
      ["click", on.click],
    ])
      dot.addEventListener(event, (its) => does(point, its));
    svg.append(dot);
  }
  place.append(svg);
  label(svg, points, x, y, width);
}

/** Names beside points, those of the front first, wherever there is room. */
function label(svg, points, x, y, width) {
  const taken = points.map((its) => ({ left: x(its.count) - 6, top: y(its.score) - 6, wide: 12, high: 12 }));
  const beside = (a, b) => a.left >= b.left + b.wide || a.top >= b.top + b.high;
  const meet = (a, b) => !beside(a, b) && !beside(b, a);
  for (const point of [...points].sort((a, b) => b.front - a.front || b.score - a.score).slice(0, 40)) {
    const text = draw("text", {}, point.name.length > 28 ? point.name.slice(0, 27) + "\u2026" : point.name);
    svg.append(text);
    const wide = text.getBBox().width;
    const [px, py] = [x(point.count), y(point.score)];
    const corners = [
      [7, -8],
      [7, 17],
      [-7 - wide, -8],
      [-7 - wide, 17],
    ];
    const spots = [[9, 4], [-9 - wide, 4], [-wide / 2, -10], [-wide / 2, 20], ...corners];
    const boxes = spots.map(([across, down]) => ({ left: px + across, top: py + down - 11, wide, high: 14 }));
    const fits = (its) => its.left > 0 && its.left + wide < width && !taken.some((other) => meet(its, other));
    const box = boxes.find(fits);
    if (!box) {
      text.remove();
      continue;
    }
    text.setAttribute("x", box.left);
    text.setAttribute("y", box.top + 11);
    taken.push(box);
  }
}
