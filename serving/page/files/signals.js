// Signals in the trader's words, each with its value and threshold.

import { el, icon, table } from "./dom.js";
import { capital, number, MISSING, known, words } from "./format.js";

const ICON = { bearish: "bear", bullish: "bull", neutral: "ranging", missing: "none" };

export function signalsCard(answer) {
  const { signals, agreeing, available, effective_signals: effective } = answer;
  return el(
    "section",
    { class: "card", "aria-labelledby": "signals-title" },
    el("h3", { id: "signals-title" }, "Signals"),
    el("p", {}, summary(agreeing, available, effective)),
    table(
      "Signals",
      [
        { words: "Signal" },
        { words: "Says" },
        { words: "Value", number: true },
        { words: "Threshold", number: true },
      ],
      signals.map((one) => [
        capital(words(one.name)),
        state(one),
        number(one.value, 4),
        number(one.threshold, 4),
      ]),
      "cards",
    ),
  );
}

function summary(agreeing, available, effective) {
  const weight = known(effective)
    ? ` Together they weigh as much as ${effective.toFixed(1)} independent ones.`
    : "";
  return `${agreeing} of ${available} available signals say what the regime says.${weight}`;
}

function state(one) {
  const kind = ICON[one.state] ?? "none";
  return el(
    "span",
    { class: `state ${one.state}` },
    icon(kind),
    one.state === "missing" ? `${MISSING} missing` : one.state,
    one.late ? el("span", { class: "soft" }, " (often late)") : null,
  );
}
