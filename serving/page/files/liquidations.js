// The estimated liquidation map: days across, price up, darker where more open interest would be liquidated.

import { el } from "./dom.js";
import { clock, fine, known, moment, price, signed } from "./format.js";
import { axis } from "./plotly.js";
import { colour } from "./theme.js";

/** Traces and layout; `prices` ({at, close} rows of the same days, may be empty) are drawn over the map. */
export function mapFigure(node, map, prices) {
  const narrow = node.clientWidth < 640;
  return {
    traces: [
      {
        type: "heatmap",
        x: map.time.map(moment),
        y: map.price,
        z: transposed(map.share),
        zmin: 0,
        zmax: ceiling(map.share),
        zsmooth: false,
        colorscale: scale(),
        // Its own colour bar styles itself inline; the caption has one.
        showscale: false,
        hovertemplate: "%{x|%Y-%m-%d}<br>%{y:,.6~g}: %{z:.2%} of open interest<extra></extra>",
      },
      {
        type: "scatter",
        mode: "lines",
        name: "Price",
        x: prices.map((row) => row.at),
        y: prices.map((row) => row.close),
        line: { color: colour("ink"), width: 2 },
        hovertemplate: "%{y:,.6~g}<extra>Price</extra>",
      },
    ],
    layout: {
      margin: { l: narrow ? 52 : 62, r: narrow ? 6 : 20, t: 8, b: 38 },
      hovermode: "closest",
      xaxis: axis({ type: "date", showgrid: false, nticks: narrow ? 4 : 10, tickangle: 0 }),
      yaxis: axis({ showgrid: false, tickformat: ",~g", nticks: 8 }),
    },
  };
}

/** From the card's ground to full strength through two hues that differ in lightness too. */
function scale() {
  return [
    [0, colour("card")],
    [0.25, colour("heat-low")],
    [1, colour("heat-high")],
  ];
}

function transposed(weight) {
  return weight[0]?.map((_, rung) => weight.map((row) => row[rung])) ?? [];
}

/** The scale in words and colours, for the caption. */
export function scaleBar(map) {
  return el(
    "p",
    { class: "scale" },
    "0 %",
    el("span", { class: "ramp", "aria-hidden": "true" }),
    `${fine(ceiling(map.share))} of open interest and more`,
  );
}

/** Nearly the largest weight: one crowded cell must not pale all others. */
function ceiling(weight) {
  const values = weight
    .flat()
    .filter((value) => known(value) && value > 0)
    .sort((a, b) => a - b);
  return values.length ? values[Math.floor(0.995 * (values.length - 1))] : 1;
}

/** Heaviest prices above and below the last close, for reading instead of seeing. */
export function heaviest(map, many = 4) {
  const side = (name) =>
    map.now
      .filter((cell) => cell.side === name)
      .sort((a, b) => b.weight - a.weight)
      .slice(0, many);
  return [...side("short"), ...side("long")].sort((a, b) => b.price - a.price);
}

export function heaviestRows(map) {
  return heaviest(map).map((cell) => [
    price(cell.price),
    signed(cell.price / map.close - 1),
    cell.side === "short" ? "Shorts" : "Longs",
    fine(cell.weight),
  ]);
}

export function mapWords(map) {
  const found = heaviest(map, 1);
  if (found.length === 0) return "No price holds an estimated liquidation now.";
  const parts = found.map(
    (cell) =>
      `${cell.side}s near ${price(cell.price)} (${signed(cell.price / map.close - 1)}, ${fine(cell.weight)} of open interest)`,
  );
  return `At ${clock(map.as_of)} UTC the heaviest estimated liquidations: ${parts.join("; ")}.`;
}
