// Price levels of the advice as lines and labels on the price chart, kept apart and within it.

import { known, percent, price, signed } from "./format.js";
import { colour } from "./theme.js";

const GAP = 15;

/** Levels that the advice names, with the words for them. */
export function levelsOf(answer) {
  const { tranches, stop_price: stop, target_price: target, survival, band } = answer.advice;
  const found = tranches.map((one, place) => ({
    kind: "entry",
    words: `Entry ${place + 1} · ${percent(one.share)}`,
    short: `Entry ${place + 1}`,
    value: one.price,
  }));
  found.push({ kind: "target", words: "Target", value: target });
  found.push({ kind: "stop", words: "Stop", value: stop });
  found.push({
    kind: "liquidation",
    words: "Liquidation",
    short: "Liquid.",
    value: survival.worst_liquidation_price ?? survival.liquidation_price,
  });
  if (band && tranches.length === 0)
    found.push(
      { kind: "band", words: "Range top", value: band.upper },
      { kind: "band", words: "Range foot", value: band.lower },
    );
  return found.filter((level) => known(level.value) && level.value > 0);
}

const LINES = {
  entry: { colour: "accent", dash: "dot", width: 1.5 },
  target: { colour: "good-edge", dash: "dash", width: 1.5 },
  stop: { colour: "warn-edge", dash: "dash", width: 1.5 },
  liquidation: { colour: "bad-edge", dash: "solid", width: 2 },
  band: { colour: "edge", dash: "dot", width: 1.5 },
};

/** Range of the price axis: the bars, and the levels that do not squeeze them flat. */
export function priceRange(rows, levels) {
  const values = rows.flatMap((row) => [row.low ?? row.close, row.high ?? row.close]).filter(known);
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const room = 0.9 * (high - low || high * 0.02);
  for (const { value } of levels) {
    if (value < low && low - value < room) low = value;
    if (value > high && value - high < room) high = value;
  }
  const edge = 0.05 * (high - low || high * 0.02);
  return [Math.max(low - edge, low * 0.5), high + edge];
}

/**
 * Shapes and annotations. A level beyond the range is named at the edge with an arrow and its distance.
 * `area`: {from, to, range, height, narrow}: where lines run, and the height of the panel in pixels.
 */
export function drawnLevels(levels, last, { from, to, range, height, narrow }) {
  const [low, high] = range;
  const scale = (value) => ((value - low) / (high - low)) * height;
  const shapes = [];
  const labels = levels.map((level) => {
    const line = LINES[level.kind];
    const inside = level.value >= low && level.value <= high;
    const away = level.value > high ? "▲ " : "▼ ";
    if (inside) {
      shapes.push({
        type: "line",
        xref: "x",
        yref: "y",
        x0: from,
        x1: to,
        y0: level.value,
        y1: level.value,
        line: { color: colour(line.colour), width: line.width, dash: line.dash },
      });
    }
    const distance = inside ? "" : ` (${signed(level.value / last - 1, 0)})`;
    return {
      at: scale(Math.min(high, Math.max(low, level.value))),
      text: `${inside ? "" : away}${narrow ? (level.short ?? level.words) : level.words} ${price(level.value)}${narrow ? "" : distance}`,
      colour: colour(line.colour),
    };
  });
  spread(labels, height);
  const annotations = labels.map((label) => ({
    xref: "paper",
    yref: "y domain",
    x: 1,
    y: label.at / height,
    xanchor: narrow ? "right" : "left",
    yanchor: "middle",
    xshift: narrow ? 0 : 6,
    text: label.text,
    showarrow: false,
    font: { size: narrow ? 10 : 11.5, color: label.colour },
    bgcolor: narrow ? colour("card") : "rgba(0,0,0,0)",
    borderpad: 0,
  }));
  return { shapes, annotations };
}

/** Push labels apart, upwards first, then back down from the top. */
function spread(labels, height) {
  labels.sort((a, b) => a.at - b.at);
  let floor = -Infinity;
  for (const label of labels) {
    label.at = Math.max(label.at, floor + GAP, GAP / 2);
    floor = label.at;
  }
  let ceiling = height - GAP / 2;
  for (const label of [...labels].reverse()) {
    label.at = Math.min(label.at, ceiling);
    ceiling = label.at - GAP;
  }
}
