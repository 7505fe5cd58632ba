// The service's answers as the page reads them: one place that knows their shapes.

import { now } from "./api.js";
import { el } from "./dom.js";
import { barLength, clock, known, MISSING, moment, span } from "./format.js";
import { REGIMES } from "./regimes.js";

/** The service's own limits (serving/data_age.py): a twelfth of a bar to arrive, three bars until it is stale. */
const GRACE = 1 / 12;
const LATE_BARS = 3;

/** A row of the board. */
export function rowOf(entry) {
  if (entry.error || !entry.regime)
    return { symbol: entry.symbol, error: entry.error?.message ?? "no answer", newest: moment(entry.as_of) };
  const asOf = moment(entry.as_of);
  return {
    symbol: entry.symbol,
    price: entry.close,
    change: entry.change_24h,
    regime: entry.regime,
    since: moment(entry.since),
    sinceAtLeast: entry.since_at_least,
    asOf,
    confidence: entry.confidence,
    side: entry.side,
    shortShare: entry.short_share,
    leverage: entry.leverage,
    newest: asOf,
    bar: moment(entry.valid_until) - asOf || barLength("1h"),
    degraded: entry.degraded ?? [],
  };
}

/**
 * How old the newest bar is, by the clock of now: "current", "late", "stale", or "ahead" of the clock.
 * The service says so too, at the moment of its answer; a page that stays open goes on counting.
 */
export function stateOf(newest, bar) {
  if (!known(newest)) return "stale";
  const bars = (now() - newest) / bar;
  if (bars < -GRACE) return "ahead";
  return bars < 1 + GRACE ? "current" : bars < LATE_BARS + GRACE ? "late" : "stale";
}

/** Age of the newest bar, marked where it is late. */
export function age(newest, bar) {
  if (!known(newest)) return MISSING;
  const state = stateOf(newest, bar);
  const title = `newest bar closed ${clock(newest)} UTC`;
  const words = state === "ahead" ? "from the future" : span(now() - newest);
  return state === "current"
    ? el("span", { title }, words)
    : el("span", { class: "old", title }, state === "ahead" ? words : `${words}, ${state}`);
}

/** Rows of a history, one object for each; rows without a price are left out. */
export function historyRows(history) {
  return history.time
    .map((at, place) => ({
      at: moment(at),
      open: history.open[place],
      high: history.high[place],
      low: history.low[place],
      close: history.close[place],
      regime: history.regime[place],
      p: Object.fromEntries(REGIMES.map((name) => [name, history[name][place]])),
      inSample: history.in_sample[place],
    }))
    .filter((row) => known(row.close));
}

/** Runs of one regime; rows without an answer belong to none. */
export function spells(rows, step) {
  const found = [];
  for (const row of rows) {
    const last = found.at(-1);
    if (last && last.regime === row.regime && row.at - last.to <= 1.5 * step) {
      last.to = row.at;
      last.close = row.close;
    } else {
      found.push({
        regime: row.regime,
        from: row.at - step,
        to: row.at,
        open: row.open ?? row.close,
        close: row.close,
      });
    }
  }
  return found.filter((spell) => spell.regime);
}
