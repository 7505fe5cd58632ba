// What to do: bias, leverage, orders, and how the leverage was calculated.

import { el, more, table } from "./dom.js";
import { capital, fine, known, MISSING, number, percent, price, signed, times, words } from "./format.js";

const ORDINAL = ["First", "Second", "Third"];
const SIDE = { short: "Short", long: "Long", flat: "Flat" };

/** The card of the advice. */
export function adviceCard(answer) {
  const advice = answer.advice;
  return el(
    "section",
    { class: "card", "aria-labelledby": "advice-title" },
    el("h3", { id: "advice-title" }, "Advice"),
    figures(advice),
    el(
      "div",
      { class: "pair" },
      el(
        "div",
        {},
        el("h4", { class: "first" }, "Why"),
        el(
          "ul",
          { class: "reasons" },
          answer.reasons.map((reason) => el("li", {}, reason)),
        ),
      ),
      el("div", {}, orders(answer)),
    ),
    calculation(advice),
    answer.disclaimer ? el("p", { class: "soft" }, answer.disclaimer) : null,
  );
}

function figure(name, value, note = null) {
  return el(
    "div",
    {},
    el("dt", {}, name),
    el("dd", {}, value),
    note ? el("dd", { class: "note" }, note) : null,
  );
}

function figures(advice) {
  const funding = advice.funding_per_day;
  const net = 1 - 2 * advice.short_share;
  return el(
    "dl",
    { class: "figures" },
    figure("Side", SIDE[advice.side] ?? advice.side, biasBar(advice.short_share)),
    figure(
      "Leverage",
      times(advice.leverage),
      `cap ${times(advice.leverage_cap)}; short ${times(advice.leverage_short)}, long ${times(advice.leverage_long)}`,
    ),
    figure(
      "Net exposure",
      known(net) ? signed(net, 0) : MISSING,
      advice.size_factor === 1 ? "of full size" : `at ${percent(advice.size_factor)} of the size`,
    ),
    figure(
      "Funding a day",
      funding ? fine(Math.abs(funding.rate)) : MISSING,
      funding ? fundingNote(funding) : "not known",
    ),
  );
}

function fundingNote(funding) {
  if (funding.rate === 0) return "nothing either way";
  return funding.rate > 0 ? "this side pays" : "this side receives";
}

/** Short against long share of the gross exposure. */
export function biasBar(share, text = `${percent(share)} short, ${percent(1 - share)} long`) {
  return el(
    "span",
    { class: "bias", vars: { share: `${100 * share}%` } },
    el("span", { class: "bar", "aria-hidden": "true" }),
    el("span", { class: "words" }, text),
  );
}

function orders(answer) {
  const { tranches, stop_price: stop, target_price: target, survival } = answer.advice;
  // Sizes in money need an account, which a page has not: not worth a word.
  const withheld = Object.entries(answer.advice.withheld ?? {}).filter(([, why]) => why !== "no_account");
  const levels = [
    ["Stop", stop],
    ["Target", target],
    ["Liquidation, entered at the last close", survival.liquidation_price],
    ["Closest liquidation while filling the plan", survival.worst_liquidation_price],
  ];
  return [
    tranches.length ? el("h4", { class: "first" }, "Entry in tranches") : null,
    tranches.length
      ? table(
          "Tranche plan",
          [
            { words: "Tranche" },
            { words: "Share", number: true },
            { words: "Price", number: true },
            { words: "Average entry", number: true },
            { words: "Liquidation", number: true },
            { words: "When" },
          ],
          tranches.map((one, place) => [
            ORDINAL[place] ?? String(place + 1),
            percent(one.share),
            price(one.price),
            price(one.average_entry),
            price(one.liquidation_price),
            one.words || words(one.trigger),
          ]),
          "cards",
        )
      : el("p", { class: "soft" }, "No orders: nothing is to be opened here."),
    el(
      "dl",
      { class: "levels" },
      levels
        .filter(([, value]) => known(value))
        .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, price(value)))),
    ),
    withheld.length
      ? el(
          "p",
          { class: "soft" },
          `Left out: ${withheld.map(([path, why]) => `${words(path)} (${words(why)})`).join(", ")}.`,
        )
      : null,
  ];
}

function calculation(advice) {
  const { survival } = advice;
  const summary = `How ${times(advice.leverage)} was calculated`;
  return more(
    summary,
    el(
      "p",
      { class: "soft" },
      `${percent(survival.level, 1)} of ${survival.horizon_days}-day moves against the position are to be survived; at that level price goes ${fine(survival.adverse_excursion)} against it.`,
    ),
    table(
      "Calculation of the leverage",
      [{ words: "Step" }, { words: "Value", number: true }, { words: "What it is" }],
      advice.calculation.map((step) => [capital(words(step.name)), number(step.value, 5), step.words]),
      "cards",
    ),
    advice.haircuts.length ? el("h4", {}, "Haircuts") : null,
    advice.haircuts.length
      ? table(
          "Haircuts",
          [{ words: "Why" }, { words: "Factor", number: true }],
          advice.haircuts.map((cut) => [capital(words(cut.name)), `× ${number(cut.factor, 3)}`]),
        )
      : null,
  );
}
