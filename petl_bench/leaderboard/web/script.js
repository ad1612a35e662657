// Sorts and filters tables, opens a configuration's details. All text from outside is set as text, never as markup.

const details = JSON.parse(document.getElementById("details").textContent);
const boards = [...document.querySelectorAll(".board")];
const filters = document.getElementById("filters");
const count = document.getElementById("count");
const tip = document.getElementById("tip");
const rowsOf = (board) => [...board.querySelectorAll(".rows > tbody > tr[data-method]")];

// ---- sorting

const textual = new Intl.Collator("en", { numeric: true });

function compare(first, second, key, direction) {
  const [a, b] = [first.dataset[key], second.dataset[key]];
  if (key === "method") return direction * textual.compare(a, b);
  if (a === "" || b === "") return (a === "") - (b === ""); // what has no number comes last, either way
  return direction * (Number(a) - Number(b));
}

function sort(board, head) {
  const key = head.dataset.sort;
  const before = head.getAttribute("aria-sort");
  const up = before ? before === "descending" : key !== "score";
  for (const other of board.querySelectorAll(".rows thead th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const body = board.querySelector(".rows > tbody");
  const rows = rowsOf(board).sort((a, b) => compare(a, b, key, up ? 1 : -1));
  body.append(...rows.flatMap((row) => (row.opened ? [row, row.opened] : [row])));
}

// ---- filtering

function filter() {
  const wanted = Object.fromEntries(new FormData(filters));
  const part = wanted.method.trim().toLowerCase();
  let shown = 0,
    tables = 0,
    all = 0;
  for (const board of boards) {
    const fits = ["benchmark", "backbone", "switches"].every(
      (name) => !wanted[name] || board.dataset[name] === wanted[name],
    );
    let left = 0;
    for (const row of rowsOf(board)) {
      const here = fits && row.dataset.method.toLowerCase().includes(part) && (!wanted.front || "front" in row.dataset);
      row.hidden = !here;
      if (row.opened) row.opened.hidden = !here;
      left += here;
      all += 1;
    }
    board.hidden = !left;
    shown += left;
    tables += left > 0;
    if (left) drawScores(board);
  }
  const noun = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  count.textContent = `${shown} of ${noun(all, "configuration")} in ${noun(tables, "table")}`;
}

// ---- details

function open(row, wanted) {
  const button = row.querySelector("button.name");
  const now = wanted ?? !row.opened;
  if (now && !row.opened) {
    const cell = make("td", { colspan: row.cells.length });
    row.opened = make("tr", { class: "detail" }, cell);
    row.after(row.opened);
    fill(row, cell, details[row.id]);
  } else if (!now && row.opened) {
    row.opened.remove();
    row.opened = null;
  }
  button.setAttribute("aria-expanded", String(now));
  if (now) history.replaceState(null, "", `#${row.id}`);
  else if (location.hash === `#${row.id}`) history.replaceState(null, "", location.pathname + location.search);
}

const part = (title, ...children) => make("div", {}, make("h3", {}, title), ...children);

function pairs(entries) {
  const list = make("dl");
  for (const [name, value, given] of entries)
    list.append(make("dt", {}, name), make("dd", given ? { class: "given" } : {}, value));
  return list;
}

function fill(row, cell, detail) {
  if (!detail) return cell.append("No details on record.");
  const parts = make("div", { class: "parts" });
  cell.append(parts);
  const missing = detail.missing_cards.map((name) => `; for ${name} give the path of its card`).join("");
  const title = `Run it again, with --data-dir DIR where the clips are elsewhere${missing}`;
  const command = part(title, commandBox(detail.command));
  command.className = "whole";
  parts.append(part("Test score by fold and seed, %", make("div", { class: "scroll", tabindex: "0" }, grid(detail))));
  if (detail.curves) {
    parts.append(part("Training loss by epoch: mean and range of runs", curve(detail.curves, "loss", parts)));
    parts.append(part("Validation accuracy by epoch, %: mean and range", curve(detail.curves, "accuracy", parts)));
  }
  parts.append(besides(row));
  parts.append(
    part(
      "Settings; bold: not the code's default",
      pairs(Object.entries(detail.settings).map(([name, its]) => [name, ...its])),
    ),
  );
  parts.append(part("Optimizer, code", pairs([...Object.entries(detail.optimizer), ["code", detail.code]])));
  if (detail.cost) parts.append(part("Cost", pairs(detail.cost)));
  const memory = detail.peak_memory_mb === null ? [] : [["peak memory", `${detail.peak_memory_mb} MB`]];
  const made = [
    ["runs made", detail.made],
    ["device", detail.devices.join(", ")],
    ["training", `${detail.clips_per_second} clips/s`],
  ];
  parts.append(part("Made", pairs([...made, ...memory, ...detail.packages.map((its) => ["with", its])])), command);
}

/** The columns of the table that narrow screens leave out. */
function besides(row) {
  const heads = row.closest("table").tHead.rows[0].cells;
  const cells = [...row.cells].filter((cell) => cell.classList.contains("extra") && cell.textContent);
  const box = part(
    "In the table",
    pairs(cells.map((cell) => [heads[cell.cellIndex].textContent || "letters", cell.textContent])),
  );
  box.className = "besides";
  return box;
}

function grid(detail) {
  const head = make("tr", {}, make("th", { scope: "col" }, "fold"));
  for (const seed of detail.seeds) head.append(make("th", { scope: "col", class: "number" }, `seed ${seed}`));
  const body = make("tbody");
  detail.folds.forEach((fold, at) => {
    const line = make("tr", {}, make("th", { scope: "row" }, String(fold)));
    detail.scores[at].forEach((score, seed) => {
      const title =
        score === null ? "not run" : `run ${detail.keys[at][seed]}, epoch ${detail.tested_epochs[at][seed]} tested`;
      line.append(make("td", { class: "number", title }, score === null ? "-" : score.toFixed(2)));
    });
    body.append(line);
  });
  return make("table", {}, make("thead", {}, head), body);
}

function commandBox(command) {
  const text = make("pre", { tabindex: "0" }, command);
  const button = make("button", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard here: marked, to be copied by hand
      button.textContent = "Marked";
    }
  });
  return make("div", { class: "command" }, text, button);
}

// ---- scores against parameters

function drawScores(board) {
  const rows = rowsOf(board).filter((row) => !row.hidden && row.dataset.score !== "");
  const points = rows.map((row) => {
    const its = row.dataset;
    const score = Number(its.score);
    const [low, high] = its.low === "" ? [score, score] : [Number(its.low), Number(its.high)];
    const best = row.querySelector(".best") !== null;
    const partial = row.querySelector(".incomplete") !== null;
    return { row, name: its.method, count: Number(its.parameters), score, low, high, front: "front" in its, best, partial };
  });
  scatter(board.querySelector(".scatter"), points, {
    enter: hint,
    leave: (point) => mark(point.row, false),
    click: (point) => reveal(point.row),
  });
}

function mark(row, on) {
  row.classList.toggle("marked", on);
  tip.hidden = !on;
}

function hint(point, event) {
  mark(point.row, true);
  const interval = point.low < point.high ? ` (${percent(point.low)} to ${percent(point.high)})` : "";
  tip.textContent = `${point.name}: ${percent(point.score)}${interval}, ${short(point.count)} parameters`;
  tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(8, event.clientY - tip.offsetHeight - 12)}px`;
}

/** Open the row that the address names. */
function revealAsked() {
  const asked = document.getElementById(location.hash.slice(1));
  if (asked?.matches(".rows > tbody > tr[data-method]")) reveal(asked);
}

function reveal(row) {
  mark(row, false);
  open(row, true);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button.name").focus({ preventScroll: true });
}

// ---- start

for (const board of boards) {
  for (const head of board.querySelectorAll("th[data-sort]")) {
    const button = make("button", { type: "button" }, head.textContent);
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(board, head));
  }
  for (const row of rowsOf(board)) {
    const name = row.querySelector(".name");
    const button = make(
      "button",
      { type: "button", class: name.className, "aria-expanded": "false", dir: "auto" },
      name.textContent,
    );
    name.replaceWith(button);
    button.addEventListener("click", () => open(row));
  }
}
if (filters) {
  filters.hidden = false;
  for (const event of ["input", "change"]) filters.addEventListener(event, filter);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filter();
  addEventListener("resize", () => boards.filter((board) => !board.hidden).forEach(drawScores));
  addEventListener("hashchange", revealAsked);
  revealAsked();
}
