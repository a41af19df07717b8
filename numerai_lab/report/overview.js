"use strict";
const EVERY = 1000; // milliseconds between two questions
const MOST = 500; // rows that are drawn before somebody asks for all
const at = (id) => document.getElementById(id);
const body = at("runs").tBodies[0];
const runs = new Map(); // by folder
const rows = new Map();
const cards = new Map();
const chosen = new Set();
let folders = [], version = "", all = false, sort = { key: "started", down: true };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// What did not change is left alone: a screen reader and a selection keep their place.
function put(place, text) {
  if (place.textContent !== text) place.textContent = text;
}

function place(parent, wanted) {
  wanted.forEach((child, i) => { if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null); });
  while (parent.children.length > wanted.length) parent.lastElementChild.remove();
}

function newRow(run) {
  const box = element("input", { type: "checkbox", "aria-label": `compare ${run.run}` });
  box.addEventListener("change", () => { box.checked ? chosen.add(run.folder) : chosen.delete(run.folder); picked(); });
  const cell = (name, ...children) => element("td", { class: name }, ...children);
  const labelled = (name, label) => element("td", { class: name, "data-label": label }); // where there are no columns
  const change = labelled("change text", "largest Δ");
  return element("tr", {}, cell("pick text", box), cell("run text"), cell("status text"), cell("shows text"), change, labelled("time", "time"));
}

function fillRow(row, run) {
  const [pick, name, status, shows, change, time] = row.cells;
  row.className = run.status;
  pick.firstChild.hidden = run.status !== "finished";
  name.replaceChildren(run.link ? element("a", { href: run.link }, run.run) : run.run, element("small", {}, run.about));
  put(status, run.status === "unread" ? "reading …" : run.status);
  put(shows, run.status === "running" ? `${run.how_far}; now ${run.stage}` : run.sentence);
  change.replaceChildren(...(run.method ? [element("span", {}, run.method), " ", element("span", {}, run.change), " ", verdict(run)] : []));
  put(time, run.time);
}

function verdict(run) {
  const kind = run.verdict.startsWith("better") ? "better" : run.verdict.startsWith("worse") ? "worse" : "open";
  return element("span", { class: kind }, run.verdict);
}

function newCard(run) {
  const bar = element("progress", { max: "1", "aria-label": `progress of ${run.run}` });
  return element("li", {}, element("h3", {}, run.run), bar, element("p", {}), element("p", { class: "faint" }));
}

function fillCard(card, run) {
  const [, bar, far, stage] = card.children;
  if (run.share === null) bar.removeAttribute("value");
  else bar.value = run.share;
  put(far, `${run.share === null ? "" : `${Math.round(100 * run.share)} %, `}${run.how_far}`);
  put(stage, `now ${run.stage}${run.share_of_stage ? `, ${Math.round(100 * run.share_of_stage)} %` : ""}`);
}

function picked() {
  const n = chosen.size;
  at("compare").disabled = n === 0;
  put(at("picked"), n ? `${n} run${n === 1 ? "" : "s"} chosen` : "Choose runs to compare them.");
}

function order(a, b) {
  const [x, y] = [a[sort.key], b[sort.key]];
  if (x === y) return sort.down === (a.run < b.run) ? 1 : -1;
  if (x === null || y === null) return x === null ? 1 : -1; // what has no value stays last
  return (x < y ? -1 : 1) * (sort.down ? -1 : 1);
}

function fits(run) {
  const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = [run.run, run.status, run.sentence, run.about, run.method, run.verdict, run.stage].join(" ").toLowerCase();
  return words.every((word) => text.includes(word)) && [run.status, ""].includes(at("status").value);
}

function draw() {
  const every = folders.map((folder) => runs.get(folder)).filter(Boolean);
  const going = every.filter((run) => run.status === "running");
  const fitting = every.filter(fits).sort(order);
  const drawn = all ? fitting : fitting.slice(0, MOST);
  at("running").hidden = going.length === 0;
  place(at("cards"), going.map((run) => cards.get(run.folder)));
  place(body, drawn.map((run) => rows.get(run.folder)));
  at("more").hidden = drawn.length === fitting.length;
  put(at("more").lastElementChild, `${drawn.length} of ${fitting.length} are shown`);
  at("none").hidden = fitting.length > 0;
  put(at("none"), every.length ? "No run has these words and this status." : "No run yet. `nlab run CONFIG` makes one, and it appears here.");
  put(at("shown"), `${fitting.length} of ${every.length} runs`);
  const counts = [...at("status").options].map((option) => option.value).filter(Boolean);
  const texts = counts.map((status) => [every.filter((run) => run.status === status).length, status]).filter(([n]) => n);
  const unread = every.filter((run) => run.status === "unread").length;
  put(at("counts"), [...texts.map((pair) => pair.join(" ")), ...(unread ? ["others are being read"] : [])].join(", "));
}

function take(data) {
  version = data.version;
  for (const run of data.runs) {
    runs.set(run.folder, run);
    if (!rows.has(run.folder)) rows.set(run.folder, newRow(run));
    fillRow(rows.get(run.folder), run);
    if (run.status !== "running") cards.delete(run.folder);
    else {
      if (!cards.has(run.folder)) cards.set(run.folder, newCard(run));
      fillCard(cards.get(run.folder), run);
    }
  }
  if (data.folders !== null) {
    folders = data.folders;
    const there = new Set(folders);
    for (const known of [runs, rows, cards, chosen]) for (const folder of [...known.keys()]) if (!there.has(folder)) known.delete(folder);
    picked();
  }
  trouble(data.problem);
  if (data.runs.length || data.folders !== null) draw();
}

function trouble(text) {
  at("trouble").hidden = !text;
  put(at("trouble"), text);
}

async function ask() {
  if (!document.hidden) {
    try {
      const answer = await fetch(`/runs.json?since=${version}`);
      if (!answer.ok) throw new Error(answer.statusText);
      take(await answer.json());
    } catch {
      trouble("`nlab serve` does not answer; this is what it said last.");
    }
  }
  setTimeout(ask, EVERY);
}

for (const head of document.querySelectorAll("th[data-key]")) {
  head.firstElementChild.addEventListener("click", () => {
    const same = sort.key === head.dataset.key;
    sort = { key: head.dataset.key, down: same ? !sort.down : true };
    document.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    draw();
  });
}
for (const field of ["find", "status"]) at(field).addEventListener("input", draw);
at("chosen").addEventListener("submit", (event) => {
  event.preventDefault(); // chosen runs that the filter hides are compared too
  location.assign(`/runs/compare.html?${[...chosen].map((folder) => `run=${runs.get(folder).quoted}`).join("&")}`);
});
at("more").firstElementChild.addEventListener("click", () => { all = true; draw(); });

take(JSON.parse(at("data").textContent));
document.documentElement.dataset.drawn = "yes";
ask();
