// The chart script, brought in once and when first needed; charts in the page's own colours.

import { el } from "./dom.js";
import { colour, onTheme } from "./theme.js";

const drawn = new Map();
let loading = null;

function load() {
  loading ??= new Promise((done, fail) => {
    const script = el("script", { src: document.getElementById("plotly-script").href });
    script.addEventListener("load", () => {
      if (globalThis.Plotly) done(globalThis.Plotly);
      else fail(new Error("The chart script is not one; the tables below hold the same."));
    });
    script.addEventListener("error", () => {
      loading = null;
      script.remove();
      fail(new Error("The chart script did not come; the tables below hold the same."));
    });
    document.head.append(script);
  });
  return loading;
}

/** What every chart shares: transparent ground, quiet grid, the page's type. */
export function axis(more = {}) {
  return {
    gridcolor: colour("grid"),
    linecolor: colour("line"),
    zeroline: false,
    tickfont: { color: colour("soft") },
    fixedrange: true,
    automargin: false,
    ...more,
  };
}

function layout(more) {
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("edge"), font: { color: colour("ink") } },
    showlegend: false,
    dragmode: false,
    autosize: true,
    ...more,
  };
}

const CONFIG = {
  displayModeBar: false,
  responsive: true,
  displaylogo: false,
  scrollZoom: false,
  doubleClick: false,
  showTips: false,
};

/**
 * Draw, or draw anew, in a node. `make()` gives {traces, layout} and is called again when colours or width change.
 * @returns {Promise<boolean>} whether it could be drawn; the node says so where not.
 */
export async function draw(node, make) {
  drawn.set(node, make);
  let Plotly;
  try {
    Plotly = await load();
  } catch (error) {
    node.replaceChildren(el("p", { class: "soft" }, error.message));
    return false;
  }
  if (drawn.get(node) !== make || !node.isConnected) return false;
  const figure = make();
  await Plotly.react(node, figure.traces, layout(figure.layout), CONFIG);
  watch(node);
  // Its drawing board for measuring text is nothing to be read aloud.
  document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true");
  return true;
}

/** Whether a chart is that of a narrow screen hangs on its width: made anew when it crosses a step. */
const sizes = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const step = String(Math.round(contentRect.width / 80));
    if (target.dataset.step && target.dataset.step !== step && contentRect.width > 0) redraw(target);
    target.dataset.step = step;
  }
});

function watch(node) {
  sizes.observe(node);
}

function redraw(node) {
  const make = drawn.get(node);
  if (make && node.isConnected) draw(node, make);
}

/** Forget charts whose nodes are gone. */
export function release(within) {
  for (const node of drawn.keys()) {
    if (!within.contains(node)) continue;
    sizes.unobserve(node);
    globalThis.Plotly?.purge(node);
    drawn.delete(node);
  }
}

onTheme(() => {
  for (const node of drawn.keys()) redraw(node);
});
