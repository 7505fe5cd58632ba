// The board: a row for each symbol, sorted and searched in the browser.

import { el, put } from "./dom.js";
import { age, rowOf } from "./answers.js";
import { chance, clock, known, MISSING, percent, price, signed, span, times } from "./format.js";
import { biasBar } from "./advice.js";
import { badge } from "./regimes.js";

const COLUMNS = [
  { name: "symbol", words: "Symbol", of: (row) => row.symbol },
  { name: "price", words: "Price", of: (row) => -(row.price ?? -1), number: true },
  { name: "change", words: "24 h", of: (row) => -(row.change ?? -Infinity), number: true },
  { name: "regime", words: "Regime", of: (row) => row.regime ?? "~" },
  { name: "since", words: "Since", of: (row) => row.since ?? Infinity },
  { name: "confidence", words: "Confidence", of: (row) => -(row.confidence ?? -1) },
  { name: "bias", words: "Bias", of: (row) => -(row.shortShare ?? -1) },
  { name: "leverage", words: "Leverage", of: (row) => -(row.leverage ?? -1), number: true },
  { name: "age", words: "Data age", of: (row) => row.newest ?? Infinity, number: true },
];
const LONG = 14;
const state = { sort: null, down: false, text: "", rows: [], chosen: null };

/** Rows as last read, in the service's order. */
export function boardRows() {
  return state.rows;
}

export function showBoard(board) {
  state.rows = board.rows.map(rowOf);
  const find = document.getElementById("find-label");
  find.hidden = state.rows.length <= 6;
  render();
}

export function choose(symbol) {
  state.chosen = symbol;
  if (state.rows.length) render();
}

export function startBoard() {
  document.getElementById("find").addEventListener("input", (event) => {
    state.text = event.target.value.trim().toUpperCase();
    render();
  });
}

function visible() {
  const rows = state.rows.filter((row) => row.symbol.includes(state.text));
  const column = COLUMNS.find((one) => one.name === state.sort);
  if (!column) return rows;
  const order = (a, b) => (column.of(a) < column.of(b) ? -1 : column.of(a) > column.of(b) ? 1 : 0);
  return rows.sort((a, b) => (state.down ? -order(a, b) : order(a, b)));
}

function sortBy(name) {
  state.down = state.sort === name && !state.down;
  state.sort = name;
  render();
}

function render() {
  const body = document.getElementById("board-body");
  const rows = visible();
  const scrolled = body.firstElementChild?.scrollTop ?? 0;
  const focused = focusName(document.activeElement);
  const head = COLUMNS.map((column) => {
    const sorted = state.sort === column.name ? (state.down ? "descending" : "ascending") : null;
    const button = el(
      "button",
      { type: "button", class: "sort", "data-sort": column.name, on: { click: () => sortBy(column.name) } },
      column.words,
    );
    return el(
      "th",
      { scope: "col", role: "columnheader", "aria-sort": sorted, class: column.number ? "number" : null },
      button,
    );
  });
  put(
    body,
    el(
      "div",
      {
        class: `scroll board${rows.length > LONG ? " long" : ""}`,
        role: "region",
        "aria-label": "Board of symbols",
        tabindex: "0",
      },
      el(
        "table",
        { class: "cards", role: "table" },
        el("caption", { class: "unseen" }, "Newest answer for each symbol"),
        el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
        el("tbody", { role: "rowgroup" }, rows.map(rowElement)),
      ),
    ),
    rows.length === 0 ? el("p", { class: "soft" }, "No symbol of that name.") : null,
  );
  body.firstElementChild.scrollTop = scrolled;
  if (focused)
    [...body.querySelectorAll("a, button, [tabindex]")]
      .find((one) => focusName(one) === focused)
      ?.focus({ preventScroll: true });
}

/** What names a focusable part of the board across two drawings of it. */
function focusName(node) {
  if (!node?.closest?.("#board-body")) return null;
  return node.dataset.sort ?? node.hash ?? node.className;
}

/** The larger share in words, and both as a bar. */
function lean(row) {
  if (row.side === "flat" || !known(row.shortShare)) return row.side ?? MISSING;
  return biasBar(
    row.shortShare,
    row.shortShare >= 0.5 ? `${percent(row.shortShare)} short` : `${percent(1 - row.shortShare)} long`,
  );
}

function rowElement(row) {
  const chosen = row.symbol === state.chosen;
  const link = el("a", { href: `#${row.symbol}`, "aria-current": chosen ? "true" : null }, row.symbol);
  const name = el("th", { scope: "row", role: "rowheader" }, link);
  if (row.error) {
    const reason = el(
      "td",
      { role: "cell", colspan: COLUMNS.length - 1, class: "soft" },
      `No answer: ${row.error}`,
    );
    return el("tr", { role: "row", class: chosen ? "chosen" : null }, name, reason);
  }
  const cells = [
    price(row.price),
    signed(row.change),
    badge(row.regime),
    row.since === null
      ? MISSING
      : el(
          "span",
          {},
          clock(row.since),
          el(
            "span",
            { class: "soft" },
            ` · ${row.since === row.asOf ? "new" : `${row.sinceAtLeast ? "at least " : ""}${span(row.asOf - row.since)}`}`,
          ),
        ),
    el(
      "span",
      { class: "meter" },
      el(
        "span",
        { class: "track", "aria-hidden": "true", vars: { share: `${100 * (row.confidence ?? 0)}%` } },
        el("span", { class: `fill ${row.regime}` }),
      ),
      chance(row.confidence),
    ),
    lean(row),
    known(row.leverage) && row.side !== "flat" ? `${times(row.leverage)} ${row.side}` : MISSING,
    age(row.newest, row.bar),
  ];
  return el(
    "tr",
    { role: "row", class: chosen ? "chosen" : null },
    name,
    cells.map((cell, place) =>
      el(
        "td",
        {
          role: "cell",
          "data-label": COLUMNS[place + 1].words,
          class: COLUMNS[place + 1].number ? "number" : null,
        },
        cell,
      ),
    ),
  );
}
