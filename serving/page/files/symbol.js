// One symbol: what it is in, price and regimes, the advice, signals, liquidations, survival.

import { adviceCard } from "./advice.js";
import { age, historyRows, stateOf } from "./answers.js";
import { ask, now } from "./api.js";
import { boardRows } from "./board.js";
import { chartWords, priceFigure, spellRows } from "./chart.js";
import { el, more, put, table } from "./dom.js";
import { barLength, capital, chance, clock, DAY, price, signed, span, words } from "./format.js";
import { heaviestRows, mapFigure, mapWords, scaleBar } from "./liquidations.js";
import { draw, release } from "./plotly.js";
import { badge, REGIMES, regimeWord, swatch } from "./regimes.js";
import { signalsCard } from "./signals.js";
import { survivalCard } from "./survival.js";

/** Length of what the chart shows, and of a row of it. */
const RANGES = {
  "1W": { words: "1 week", days: 7, step: "1h" },
  "1M": { words: "1 month", days: 30, step: "4h" },
  "3M": { words: "3 months", days: 91, step: "4h" },
  "1Y": { words: "1 year", days: 365, step: "1d" },
  All: { words: "all", days: null, step: "1d" },
};
const BEFORE_ALL = "2010-01-01T00:00:00Z";
const MAP_DAYS = 120;
const state = { symbol: null, range: "3M", answer: null, shown: {}, cards: {}, turn: 0 };

/** Ids and headings of the cards, in the order of the page. */
const CARDS = ["summary", "chart", "advice", "signals", "map", "survival"];

export function shownSymbol() {
  return state.symbol;
}

/** Build the empty cards of another symbol; answers fill them as they come. */
export function open(symbol) {
  const body = document.getElementById("symbol-body");
  release(body);
  Object.assign(state, { symbol, answer: null, shown: {}, turn: state.turn + 1 });
  state.cards = Object.fromEntries(CARDS.map((name) => [name, el("div", { "aria-busy": "true" })]));
  document.getElementById("symbol-title").textContent = symbol;
  const { summary, chart, advice, signals, map, survival } = state.cards;
  put(
    body,
    el(
      "div",
      { class: "stack" },
      summary,
      chart,
      advice,
      el("div", { class: "pair" }, signals, survival),
      map,
    ),
  );
}

/** Read everything of the symbol anew. Errors of single parts stand in their own cards. */
export async function refresh() {
  const { symbol, turn } = state;
  if (symbol === null) return;
  const mine = (then) => (value) => (state.turn === turn ? then(value) : undefined);
  const part = (name, question, show) =>
    question.then(
      mine(show),
      mine((error) => refused(name, error)),
    );
  const at = (path) => `v1/${path}/${encodeURIComponent(symbol)}`;
  await part("summary", ask(at("regimes")), (answer) => {
    const same = state.answer !== null && JSON.stringify(state.answer) === JSON.stringify(answer);
    state.answer = answer;
    put(state.cards.summary, summaryCard(answer));
    if (same) return;
    keepOpen(state.cards.advice, adviceCard(answer));
    keepOpen(state.cards.signals, signalsCard(answer));
  });
  if (state.turn !== turn) return;
  await Promise.all([
    part("chart", readHistory(at("history"), state.range), (history) => showChart(history)),
    part("survival", once(at("survival")), (survival) => {
      if (!state.cards.survival.firstChild)
        put(state.cards.survival, survivalCard(survival, state.answer?.advice.side));
    }),
    part("map", readMap(at), ([map, prices]) => showMap(map, prices)),
  ]);
}

/** Replace a card, and leave open what its reader had opened. */
function keepOpen(holder, card) {
  const open = [...holder.querySelectorAll("details")].map((one) => one.open);
  put(holder, card);
  for (const [place, one] of [...card.querySelectorAll("details")].entries()) one.open = open[place] ?? false;
}

const TITLES = {
  summary: "Now",
  chart: "Price and regimes",
  advice: "Advice",
  signals: "Signals",
  map: "Liquidation map",
  survival: "Who survived",
};

/** A part without an answer says why; what was shown before stays where the service is only away. */
function refused(name, error) {
  const card = state.cards[name];
  if (error.unreachable && card.firstChild) return;
  delete state.shown[name];
  const caption = card.querySelector("figcaption");
  if (name === "chart" && caption) {
    put(
      caption,
      el("p", {}, capital(error.message), "."),
      error.hint ? el("p", { class: "hint" }, error.hint) : null,
    );
    return;
  }
  const id = `${name}-title`;
  release(card);
  put(
    card,
    el(
      "section",
      { class: "card", "aria-labelledby": id },
      el("h3", { id }, name === "summary" ? state.symbol : TITLES[name]),
      el("p", {}, capital(error.message), "."),
      error.hint ? el("p", { class: "hint" }, error.hint) : null,
    ),
  );
  if (name !== "summary") return;
  state.answer = null;
  for (const one of ["advice", "signals"]) put(state.cards[one]);
}

function summaryCard(answer) {
  const asOf = Date.parse(answer.as_of);
  const bar = Date.parse(answer.valid_until) - asOf;
  const since = Date.parse(answer.since);
  const held =
    since === asOf
      ? `new with the bar that closed at ${clock(since)}`
      : `${answer.since_at_least ? "for at least " : "for "}${span(asOf - since)}, since ${answer.since_at_least ? "before " : ""}${clock(since)}`;
  const row = boardRows().find((one) => one.symbol === answer.symbol && one.asOf === asOf);
  return el(
    "section",
    { class: "card summary", "aria-labelledby": "summary-title" },
    el(
      "div",
      {},
      el("h3", { id: "summary-title" }, answer.symbol),
      el(
        "p",
        { class: "now" },
        badge(answer.regime, "large"),
        row
          ? el(
              "span",
              { class: "price" },
              price(row.price),
              el("span", { class: "soft" }, ` ${signed(row.change)} in 24 h`),
            )
          : null,
      ),
      el("p", {}, capital(held), "."),
      el(
        "p",
        { class: "soft" },
        "As of ",
        clock(asOf),
        "; data ",
        age(asOf, bar),
        stateOf(asOf, bar) === "current" ? ` old, next answer at ${clock(answer.valid_until)}.` : ".",
      ),
      answer.degraded.length
        ? el(
            "p",
            { class: "hint" },
            el("strong", {}, "Degraded: "),
            answer.degraded.map(words).join(", "),
            ".",
          )
        : null,
    ),
    el(
      "div",
      {},
      el("h4", { class: "first" }, "Probabilities"),
      el(
        "ul",
        { class: "chances" },
        REGIMES.map((name) => chanceRow(name, answer)),
      ),
      el("p", { class: "soft" }, setWords(answer)),
    ),
  );
}

function chanceRow(name, answer) {
  const share = answer.probabilities[name];
  return el(
    "li",
    { class: name === answer.regime ? "chosen" : null },
    el("span", { class: "name" }, swatch(name), regimeWord(name)),
    el(
      "span",
      { class: "track", "aria-hidden": "true" },
      el("span", { class: `fill ${name}`, vars: { share: `${100 * share}%` } }),
    ),
    el("span", { class: "value" }, chance(share)),
  );
}

function setWords(answer) {
  const named = answer.prediction_set.map((name) => regimeWord(name).toLowerCase());
  if (named.length <= 1) return "No other regime is within 90 % coverage.";
  return `Cannot be ruled out at 90 % coverage: ${named.join(", ")}.`;
}

async function readHistory(path, range) {
  const { days, step: wanted } = RANGES[range];
  const bar = state.answer ? Date.parse(state.answer.valid_until) - Date.parse(state.answer.as_of) : 0;
  // Finer than the model's bars there is nothing: the service chooses then.
  const step = barLength(wanted) < bar ? null : wanted;
  const last = state.answer ? Date.parse(state.answer.as_of) : now();
  const since = days === null ? BEFORE_ALL : new Date(last - days * DAY).toISOString();
  return { range, history: await ask(path, { since, step }) };
}

const kept = new Map();

/** The survival table does not change by the hour: read once a visit, also that there is none. */
function once(path) {
  if (!kept.has(path)) {
    const answer = ask(path);
    kept.set(path, answer);
    answer.catch((error) => error.status === 404 || kept.delete(path));
  }
  return kept.get(path);
}

function showChart({ range, history }) {
  // An unchanged answer is the same object: what is open, focused or selected stays as it is.
  if (range !== state.range || state.shown.chart === history) return;
  state.shown.chart = history;
  const rows = historyRows(history);
  const length = barLength(history.step);
  let node = state.cards.chart.querySelector(".price-chart");
  if (!node) {
    put(state.cards.chart, chartCard());
    node = state.cards.chart.querySelector(".price-chart");
  }
  const caption = state.cards.chart.querySelector("figcaption");
  if (rows.length === 0) {
    put(caption, "There are no bars in this span.");
    return;
  }
  const text = chartWords(state.symbol, rows, length, state.answer);
  node.setAttribute("aria-label", text);
  const seen = rows.filter((row) => row.inSample).length;
  const warning =
    seen === 0
      ? null
      : el(
          "p",
          {},
          el("strong", {}, "In sample: "),
          seen === rows.length
            ? "the model has learned from all of this span"
            : "the model has learned from the hatched part of this span",
          `; its answers there prove nothing. It was trained until ${clock(history.trained_until)}.`,
        );
  const columns = ["Regime", "From", "To", "Held", "Price"].map((name, place) => ({
    words: name,
    number: place > 2,
  }));
  const wasOpen = caption.querySelector("details")?.open;
  const details = more(
    "The spells of this chart as a table",
    table("Spells", columns, spellRows(rows, length), "cards"),
  );
  details.open = Boolean(wasOpen);
  put(caption, el("p", {}, text), warning, details);
  draw(node, () => priceFigure(node, rows, length, state.answer));
}

function chartCard() {
  const choose = (range) => {
    state.range = range;
    const at = `v1/history/${encodeURIComponent(state.symbol)}`;
    const { turn } = state;
    readHistory(at, range).then(
      (found) => state.turn === turn && showChart(found),
      (error) => state.turn === turn && refused("chart", error),
    );
  };
  return el(
    "section",
    { class: "card", "aria-labelledby": "chart-title" },
    el("div", { class: "head" }, el("h3", { id: "chart-title" }, TITLES.chart), legend(), ranges(choose)),
    el("figure", {}, el("div", { class: "plot price-chart", role: "img" }), el("figcaption", {})),
  );
}

function legend() {
  return el(
    "ul",
    { class: "legend", "aria-label": "Regimes" },
    REGIMES.map((name) => el("li", {}, swatch(name), regimeWord(name))),
  );
}

function ranges(choose) {
  return el(
    "fieldset",
    { class: "choice range" },
    el("legend", { class: "unseen" }, "Span of the chart"),
    Object.entries(RANGES).map(([range, { words: long }]) =>
      el(
        "label",
        { title: long },
        el("input", {
          type: "radio",
          name: "range",
          value: range,
          "aria-label": long,
          checked: range === state.range,
          on: { change: () => choose(range) },
        }),
        el("span", {}, range),
      ),
    ),
  );
}

async function readMap(at) {
  const map = await ask(at("liquidation_map"), { days: MAP_DAYS });
  if (map.reason || map.time.length === 0) return [map, []];
  const history = await ask(at("history"), { since: map.time[0], step: "1d" });
  return [map, historyRows(history)];
}

function showMap(map, prices) {
  const id = "map-title";
  if (state.shown.map === map) return;
  state.shown.map = map;
  if (map.reason || map.time.length === 0) {
    put(
      state.cards.map,
      el(
        "section",
        { class: "card", "aria-labelledby": id },
        el("h3", { id }, TITLES.map),
        el("p", {}, `There is no map: ${words(map.reason ?? "open_interest_missing")}.`),
      ),
    );
    return;
  }
  const text = mapWords(map);
  const node = el("div", { class: "plot map-chart", role: "img", "aria-label": text });
  const columns = ["Price", "From the close", "Liquidated", "Open interest"].map((name, place) => ({
    words: name,
    number: place !== 2,
  }));
  release(state.cards.map);
  put(
    state.cards.map,
    el(
      "section",
      { class: "card", "aria-labelledby": id },
      el("h3", { id }, TITLES.map),
      el(
        "p",
        { class: "soft" },
        "An estimate from open interest, price and stated assumptions; nobody publishes positions. It says little that the day's price range does not say.",
      ),
      el(
        "figure",
        {},
        node,
        el(
          "figcaption",
          {},
          scaleBar(map),
          el("p", {}, text),
          more(
            "The heaviest prices as a table",
            table("Heaviest estimated liquidations", columns, heaviestRows(map), ""),
          ),
        ),
      ),
    ),
  );
  draw(node, () => mapFigure(node, map, prices));
}
