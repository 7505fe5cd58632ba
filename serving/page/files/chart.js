// Price with regime ribbons, the plan's levels and the probabilities below: one chart, three panels.

import { spells } from "./answers.js";
import { clock, day, known, percent, price, signed, span } from "./format.js";
import { drawnLevels, levelsOf, priceRange } from "./levels.js";
import { axis } from "./plotly.js";
import { PATTERN, REGIMES, regimeWord } from "./regimes.js";
import { colour, faded } from "./theme.js";

const PANELS = { price: [0.37, 1], ribbon: [0.3, 0.345], chances: [0, 0.26] };
const CANDLES = 240;
const AHEAD = 0.09;
const LABELS = 92;

/** Traces and layout for rows of a history; `answer` may be missing, then no plan is drawn. */
export function priceFigure(node, rows, step, answer) {
  const width = node.clientWidth;
  const narrow = width < 640;
  const margin = { l: narrow ? 52 : 62, r: narrow ? 6 : 196, t: 8, b: 38 };
  const first = rows[0].at - step;
  const last = rows.at(-1);
  const ahead = narrow ? LABELS / (width - margin.l - margin.r - LABELS) : AHEAD;
  const end = last.at + ahead * (last.at - first);
  const levels = answer ? levelsOf(answer) : [];
  const range = priceRange(rows, levels);
  const height = (node.clientHeight - margin.t - margin.b) * (PANELS.price[1] - PANELS.price[0]);
  const found = spells(rows, step);
  const plan = drawnLevels(levels, last.close, { from: last.at, to: end, range, height, narrow });
  return {
    traces: [
      ...priceTraces(rows, narrow ? CANDLES / 2 : CANDLES),
      ...ribbons(found),
      ...seenRibbon(rows, step),
      ...chances(rows),
    ],
    layout: {
      margin,
      bargap: 0,
      barmode: "overlay",
      hovermode: "x unified",
      hoversubplots: "axis",
      shapes: [...found.map(shade), nowLine(last.at), ...plan.shapes],
      annotations: plan.annotations,
      xaxis: axis({
        type: "date",
        range: [first, end],
        anchor: "y3",
        rangeslider: { visible: false },
        showgrid: false,
        hoverformat: "%Y-%m-%d %H:%M UTC",
        nticks: narrow ? 3 : 10,
        tickangle: 0,
      }),
      yaxis: axis({ domain: PANELS.price, range, tickformat: ticks(range), nticks: 7 }),
      yaxis2: axis({ domain: PANELS.ribbon, range: [-0.5, 1], showticklabels: false, showgrid: false }),
      yaxis3: axis({ domain: PANELS.chances, range: [0, 1], tickformat: ".0%", nticks: 3 }),
    },
  };
}

function ticks([low, high]) {
  return high - low > 20 && high > 1000 ? ",.0f" : ",~g";
}

function priceTraces(rows, candles) {
  const x = rows.map((row) => row.at);
  const shared = { x, name: "Price", xaxis: "x", yaxis: "y" };
  if (rows.length > candles)
    return [
      {
        ...shared,
        type: "scatter",
        mode: "lines",
        y: rows.map((row) => row.close),
        line: { color: colour("ink"), width: 1.4 },
        hovertemplate: "%{y:,.6~g}<extra>Price</extra>",
      },
    ];
  const of = (name) => rows.map((row) => row[name]);
  return [
    {
      ...shared,
      type: "candlestick",
      open: of("open"),
      high: of("high"),
      low: of("low"),
      close: of("close"),
      increasing: { line: { color: colour("ink"), width: 1 }, fillcolor: colour("card") },
      decreasing: { line: { color: colour("ink"), width: 1 }, fillcolor: colour("ink") },
    },
  ];
}

/** One bar a spell; a pattern goes with each colour. */
function ribbons(found) {
  return REGIMES.filter((name) => found.some((spell) => spell.regime === name)).map((name) => {
    const mine = found.filter((spell) => spell.regime === name);
    return {
      type: "bar",
      orientation: "h",
      name: regimeWord(name),
      xaxis: "x",
      yaxis: "y2",
      base: mine.map((spell) => spell.from),
      x: mine.map((spell) => spell.to - spell.from),
      y: mine.map(() => 0),
      width: 1,
      marker: {
        color: colour(name),
        line: { width: 0 },
        pattern: {
          shape: PATTERN[name],
          fgcolor: colour(`on-${name}`),
          fgopacity: 0.55,
          bgcolor: colour(name),
          size: 6,
          solidity: 0.22,
        },
      },
      hoverinfo: "skip",
    };
  });
}

/** Where the model had learned from the labels already: answers there prove nothing. */
function seenRibbon(rows, step) {
  const seen = rows.filter((row) => row.inSample);
  if (seen.length === 0) return [];
  return [
    {
      type: "bar",
      orientation: "h",
      name: "In sample",
      xaxis: "x",
      yaxis: "y2",
      base: [seen[0].at - step],
      x: [seen.at(-1).at - seen[0].at + step],
      y: [0.78],
      width: 0.3,
      marker: {
        color: colour("sunk"),
        line: { width: 0 },
        pattern: { shape: "x", fgcolor: colour("soft"), size: 5, solidity: 0.18 },
      },
      hoverinfo: "skip",
    },
  ];
}

function chances(rows) {
  const x = rows.map((row) => row.at);
  return REGIMES.map((name) => ({
    type: "scatter",
    mode: "lines",
    stackgroup: "chances",
    name: regimeWord(name),
    xaxis: "x",
    yaxis: "y3",
    x,
    y: rows.map((row) => row.p[name] ?? null),
    line: { width: 0.6, color: colour(name) },
    fillcolor: faded(name, 0.86),
    fillpattern: {
      shape: PATTERN[name],
      fgcolor: colour(`on-${name}`),
      bgcolor: colour(name),
      fgopacity: 0.4,
      size: 7,
      solidity: 0.14,
    },
    hovertemplate: "%{y:.0%}<extra></extra>".replace("<extra></extra>", `<extra>${regimeWord(name)}</extra>`),
  }));
}

function shade(spell) {
  return {
    type: "rect",
    layer: "below",
    xref: "x",
    yref: "y domain",
    x0: spell.from,
    x1: spell.to,
    y0: 0,
    y1: 1,
    line: { width: 0 },
    fillcolor: faded(spell.regime, 0.1),
  };
}

function nowLine(at) {
  return {
    type: "line",
    xref: "x",
    yref: "paper",
    x0: at,
    x1: at,
    y0: 0,
    y1: 1,
    line: { color: colour("edge"), width: 1, dash: "dot" },
  };
}

/** The chart in a sentence or two. */
export function chartWords(symbol, rows, step, answer) {
  const closes = rows.filter((row) => known(row.close));
  const [first, last] = [closes[0], closes.at(-1)];
  const found = spells(rows, step);
  const whole = found.reduce((sum, spell) => sum + spell.to - spell.from, 0) || 1;
  const shares = REGIMES.map((name) => [name, found.filter((spell) => spell.regime === name)]).filter(
    ([, mine]) => mine.length,
  );
  const parts = shares.map(
    ([name, mine]) =>
      `${regimeWord(name).toLowerCase()} ${percent(mine.reduce((sum, spell) => sum + spell.to - spell.from, 0) / whole)} of the time in ${mine.length} ${mine.length === 1 ? "spell" : "spells"}`,
  );
  const plan = answer
    ? levelsOf(answer).map((level) => `${level.words.toLowerCase()} ${price(level.value)}`)
    : [];
  const text = `${symbol}, ${day(first.at)} to ${clock(last.at)} UTC: from ${price(first.close)} to ${price(last.close)} (${signed(last.close / first.close - 1)}). Answered ${parts.join(", ")}.`;
  return plan.length ? `${text} The plan: ${plan.join(", ")}.` : text;
}

/** Spells of the chart as rows of a table, the newest first. */
export function spellRows(rows, step) {
  return spells(rows, step)
    .reverse()
    .map((spell) => [
      regimeWord(spell.regime),
      clock(spell.from),
      clock(spell.to),
      span(spell.to - spell.from),
      known(spell.open) && known(spell.close) ? signed(spell.close / spell.open - 1) : "–",
    ]);
}
