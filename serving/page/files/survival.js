// Measured chances of liquidation as a heat map: a table whose cells are shaded, so it reads without colour too.

import { el, put } from "./dom.js";
import { known, day, MISSING, number } from "./format.js";
import { regimeWord } from "./regimes.js";

const VIEWS = { online: "Regime as answered then", hindsight: "Regime in hindsight" };

/** Shares of liquidated positions are read closer near zero: 0.2 % and 3 % are worlds apart. */
function share(probability) {
  if (!known(probability)) return MISSING;
  const value = 100 * probability;
  return value === 0 ? "0 %" : value < 0.1 ? "< 0.1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}

function choice(name, legend, options, chosen, onChange) {
  return el(
    "fieldset",
    { class: "choice" },
    el("legend", {}, legend),
    options.map(([value, words]) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          on: { change: () => onChange(value) },
        }),
        el("span", {}, words),
      ),
    ),
  );
}

export function survivalCard(survival, side) {
  const body = el("div", {});
  const views = Object.keys(VIEWS).filter((view) => survival.cells.some((cell) => cell.view === view));
  const state = { side: side === "long" ? "long" : "short", view: views[0], regime: "any" };
  const regimes = ["any", "bear", "ranging", "relief_rally", "bull"].map((name) => [
    name,
    name === "any" ? "Any" : regimeWord(name),
  ]);
  const change = (name) => (value) => {
    state[name] = value;
    put(body, grid(survival, state));
  };
  put(body, grid(survival, state));
  return el(
    "section",
    { class: "card", "aria-labelledby": "survival-title" },
    el("h3", { id: "survival-title" }, "Who survived"),
    el(
      "p",
      { class: "soft" },
      `Share of positions of ${number(survival.notional)} opened at every bar's close, ${day(survival.since)} to ${day(survival.until)}, that were liquidated within so many days. In brackets the 95 % interval.`,
    ),
    el(
      "div",
      { class: "choices" },
      choice(
        "survival-side",
        "Side",
        [
          ["short", "Short"],
          ["long", "Long"],
        ],
        state.side,
        change("side"),
      ),
      choice("survival-regime", "Opened in", regimes, state.regime, change("regime")),
      views.length > 1
        ? choice(
            "survival-view",
            "Regime",
            views.map((view) => [view, VIEWS[view]]),
            state.view,
            change("view"),
          )
        : null,
    ),
    body,
    survival.notes.length
      ? el(
          "ul",
          { class: "soft" },
          survival.notes.map((note) => el("li", {}, note)),
        )
      : null,
    el("p", { class: "soft" }, survival.disclaimer),
  );
}

function grid(survival, { side, view, regime }) {
  const found = new Map(
    survival.cells
      .filter((cell) => cell.side === side && cell.view === view && cell.regime === regime)
      .map((cell) => [`${cell.leverage} ${cell.days}`, cell]),
  );
  const weeks = Math.max(0, ...[...found.values()].map((cell) => cell.weeks));
  const caption = `Liquidated ${side}s by leverage and days, ${VIEWS[view].toLowerCase()}: ${regime === "any" ? "any" : regimeWord(regime)}`;
  return [
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      el(
        "table",
        { class: "heat" },
        el("caption", { class: "unseen" }, caption),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            el("th", { scope: "col" }, "Leverage"),
            survival.days.map((days) => el("th", { scope: "col" }, `${days} ${days === 1 ? "day" : "days"}`)),
          ),
        ),
        el(
          "tbody",
          {},
          survival.leverages.map((leverage) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, `${number(leverage)}×`),
              survival.days.map((days) => heatCell(found.get(`${leverage} ${days}`))),
            ),
          ),
        ),
      ),
    ),
    el("p", { class: "soft" }, `${weeks} weeks hold these entries: the evidence is of that size.`),
  ];
}

function heatCell(cell) {
  if (!cell || !known(cell.probability)) return el("td", { class: "empty" }, MISSING);
  const bare = (value) => share(value).replace(" %", "");
  const interval = known(cell.low) && known(cell.high) ? `${bare(cell.low)} to ${share(cell.high)}` : null;
  return el(
    "td",
    { vars: { "heat-share": Math.round(48 * Math.sqrt(cell.probability)) } },
    el("span", { class: "value" }, share(cell.probability)),
    interval ? el("span", { class: "interval" }, `(${interval})`) : null,
  );
}
