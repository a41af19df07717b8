"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");

async function unpack(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function template(night) {
  const [ink, line] = night ? ["#e4e6e8", "#3a4148"] : ["#1c2024", "#dde1e5"];
  const axis = { gridcolor: line, zerolinecolor: night ? "#6b737c" : "#9aa2ab", linecolor: line, automargin: true, ticks: "outside", tickcolor: "rgba(0,0,0,0)", title: { standoff: 10 } };
  const modebar = { bgcolor: "rgba(0,0,0,0)", color: line, activecolor: ink };
  const hoverlabel = { bgcolor: night ? "#1d2125" : "#ffffff", bordercolor: line, font: { color: ink } };
  const layout = { font: { color: ink, family: "system-ui, DejaVu Sans, sans-serif", size: 12 }, xaxis: axis, yaxis: axis, hoverlabel, modebar };
  return { layout: { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" } };
}

function layoutOf(figure, night) {
  const legend = { orientation: "h", x: 0, y: -0.18, yanchor: "top" };
  // A finger that drags on a small screen wants to scroll, not to zoom.
  const small = innerWidth < 600 ? { dragmode: false } : {};
  return { margin: { l: 55, r: 15, t: 12, b: 45 }, legend, ...small, ...figure.layout, template: template(night) };
}

function shown(figure, name) {
  const traces = figure.choices[name];
  return figure.data.map((_, i) => (traces ? traces.includes(i) : true));
}

function draw(place) {
  const figure = figures[place.dataset.plot];
  const visible = shown(figure, document.querySelector(`select[data-plot="${place.dataset.plot}"]`)?.value);
  const data = figure.data.map((trace, i) => ({ ...trace, visible: visible[i] }));
  const config = { responsive: true, displaylogo: false, displayModeBar: innerWidth < 600 ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  return Plotly.newPlot(place, data, layoutOf(figure, dark.matches), config);
}

function dress(night, size) {
  for (const place of document.querySelectorAll(".drawing")) Plotly.relayout(place, { template: template(night), ...size });
}

async function plots() {
  const places = [...document.querySelectorAll(".drawing")];
  if (!places.length) return;
  await unpack("library");
  await Promise.all(places.map(draw));
  for (const choice of document.querySelectorAll("select[data-plot]")) {
    const place = document.querySelector(`.drawing[data-plot="${choice.dataset.plot}"]`);
    const choose = () => Plotly.restyle(place, { visible: shown(figures[choice.dataset.plot], choice.value) });
    choice.addEventListener("change", choose);
  }
  dark.addEventListener("change", () => dress(dark.matches, {}));
  addEventListener("beforeprint", () => dress(false, { width: 660 })); // as wide as a page of A4
  addEventListener("afterprint", () => dress(dark.matches, { width: null, autosize: true }));
}

function value(cell) {
  const raw = cell.dataset.value;
  if (raw === undefined) return cell.textContent.trim().toLowerCase();
  return raw === "" ? NaN : Number(raw);
}

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : Number.isNaN(b) ? -1 : a - b;
  return a < b ? -1 : a > b ? 1 : 0;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, i) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "descending" || (!head.hasAttribute("aria-sort") && head.classList.contains("text"));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row) => [value(row.cells[i]), row]);
      // What has no value stays last whichever way is asked for.
      rows.sort(([a], [b]) => (Number.isNaN(a) || Number.isNaN(b) ? order(a, b) : down ? order(a, b) : order(b, a)));
      body.append(...rows.map(([, row]) => row));
    }
  }));
}

function filterable(form) {
  const table = document.getElementById(form.dataset.table);
  const filter = () => {
    const words = (form.querySelector("input[type=search]")?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = [...form.querySelectorAll("select")].filter((choice) => choice.value);
    let left = 0;
    for (const row of table.querySelectorAll("tbody tr")) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word)) && chosen.every((choice) => row.dataset[choice.name] === choice.value);
      row.hidden = !fits;
      left += fits;
    }
    form.querySelector("output").textContent = `${left} rows`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("form[data-table]").forEach(filterable);
plots().then(() => { document.documentElement.dataset.drawn = "yes"; });
