// The model card and the promotion journal.

import { el, more, put, table } from "./dom.js";
import { capital, clock, day, known, number, span, words } from "./format.js";

const SHOWN = ["log_loss", "macro_f1", "ece", "relief_rally", "switches", "coverage"];

let shown = null;

/** Both cards; `journal` null where the service keeps none. Drawn anew only when something changed. */
export function showModel(model, journal, journalError, now) {
  const text = JSON.stringify([model, journal, journalError?.message]);
  if (text === shown) return;
  shown = text;
  put(document.getElementById("model-body"), modelCard(model, now), journalCard(journal, journalError));
}

function facts(pairs) {
  return el(
    "dl",
    { class: "facts" },
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

function modelCard(model, now) {
  const { manifest, training, metrics, run } = model;
  const card = (...inside) =>
    el(
      "section",
      { class: "card", "aria-labelledby": "card-title" },
      el("h3", { id: "card-title" }, "Model card"),
      ...inside,
    );
  if (!model.ready) return card(el("p", {}, "No verified model is served."), lastError(model));
  const until = Date.parse(training.trained_until);
  return card(
    facts([
      ["Version", el("code", {}, model.version)],
      ["Trained until", `${day(training.trained_until)}, ${span(now - until)} ago`],
      [
        "Trained on",
        `${number(training.rows)} rows, ${number(training.spells)} independent spells, from ${day(training.first_bar)}`,
      ],
      ["Symbols", manifest?.symbols?.join(", ")],
      ["Data source", manifest?.data_source],
      ["Bars", model.interval],
      ["Window", known(model.window_bars) ? `${number(model.window_bars)} bars` : null],
      ["Features", model.features ? String(model.features.length) : null],
      ["Loaded", clock(model.loaded_at)],
      ["Run", run?.run_id ? el("code", {}, run.run_id) : null],
    ]),
    lastError(model),
    metricsTable(metrics ?? {}),
    more(
      "What it is not",
      el(
        "p",
        {},
        "The scores are of half-years that the model had not seen, on labels that are known only weeks later. They say nothing of tomorrow. A model of some age is called stale and its leverage is cut; later it is expired and gives at most 1×.",
      ),
    ),
    featuresList(model.features ?? []),
    reloads(model.reloads ?? []),
  );
}

function lastError(model) {
  if (!model.last_error) return null;
  const { message, hint, at } = model.last_error;
  return el(
    "p",
    { class: "hint" },
    el("strong", {}, `Not loaded at ${clock(at)}: `),
    message,
    hint ? `. ${hint}.` : "",
  );
}

/** Out-of-fold scores beside those of the plain baselines. */
function metricsTable(metrics) {
  const named = (prefix) => ["log_loss", "macro_f1", "ece"].map((name) => metrics[`${prefix}/${name}`]);
  const baselines = [
    ...new Set(
      Object.keys(metrics)
        .map((name) => /^baseline\/([^/]+)\//.exec(name)?.[1])
        .filter(Boolean),
    ),
  ];
  const own = ["oos", "cv"].find((prefix) => known(metrics[`${prefix}/log_loss`]));
  const rows = [
    [own ? "This model" : null, own ? named(own) : []],
    ...baselines.map((name) => [capital(words(name)), named(`baseline/${name}`)]),
  ]
    .filter(([name]) => name)
    .map(([name, values]) => [name, ...values.map((value) => (known(value) ? value.toFixed(3) : "–"))]);
  if (rows.length === 0) return null;
  const others = Object.entries(metrics).filter(
    ([name]) => own && name.startsWith(`${own}/`) && SHOWN.some((part) => name.includes(part)),
  );
  return [
    el("h4", {}, "Scores out of fold"),
    table(
      "Scores out of fold",
      [
        { words: "Answered by" },
        { words: "Log loss (low is good)", number: true },
        { words: "Macro F1 (high)", number: true },
        { words: "ECE (low)", number: true },
      ],
      rows,
      "cards",
    ),
    others.length
      ? more(
          "More scores",
          table(
            "More scores",
            [{ words: "Score" }, { words: "Value", number: true }],
            others.map(([name, value]) => [
              capital(words(name.slice(own.length + 1).replaceAll("/", ", "))),
              number(value, 4),
            ]),
          ),
        )
      : null,
  ];
}

function featuresList(features) {
  if (features.length === 0) return null;
  return more(
    `The ${features.length} features it reads`,
    table(
      "Features",
      [
        { words: "Feature" },
        { words: "Group" },
        { words: "Look-back", number: true },
        { words: "What it is" },
      ],
      features.map((one) => [
        el("code", {}, one.name),
        words(one.group),
        `${number(one.lookback_bars)} bars`,
        one.words,
      ]),
      "cards",
    ),
  );
}

function reloads(history) {
  if (history.length === 0) return null;
  return more(
    "Loads since the service started",
    table(
      "Loads",
      [{ words: "When" }, { words: "Outcome" }, { words: "Version" }, { words: "Why" }],
      history.map((one) => [
        clock(one.at),
        capital(words(one.outcome)),
        one.version ?? "–",
        one.error?.message ?? "",
      ]),
    ),
  );
}

/** What the gate looked at, passed or not. */
function checks(found) {
  if (found.length === 0) return null;
  const passed = found.filter((one) => one.passed).length;
  const rows = found.map((one) => [
    capital(words(one.name)),
    one.passed ? "passed" : "not passed",
    number(one.value, 4),
    number(one.bound, 4),
    one.words,
  ]);
  return more(
    `${passed} of ${found.length} checks passed`,
    table(
      "Checks of the gate",
      [
        { words: "Check" },
        { words: "Outcome" },
        { words: "Value", number: true },
        { words: "Bound", number: true },
        { words: "In words" },
      ],
      rows,
      "cards",
    ),
  );
}

function journalCard(journal, error) {
  const card = (...inside) =>
    el(
      "section",
      { class: "card", "aria-labelledby": "journal-title" },
      el("h3", { id: "journal-title" }, "Promotion journal"),
      ...inside,
    );
  if (error?.code === "not_found")
    return card(el("p", { class: "soft" }, "This service shows no journal: bearmode journal prints it."));
  if (error)
    return card(
      el("p", { class: "soft" }, error.message),
      error.hint ? el("p", { class: "soft" }, error.hint) : null,
    );
  if (!journal?.length)
    return card(
      el("p", { class: "soft" }, "Nothing has been promoted yet: `bearmode retrain` writes the first entry."),
    );
  return card(
    el("p", { class: "soft" }, "Every decision about the champion, the newest first."),
    el(
      "ol",
      { class: "journal" },
      journal.map((entry) =>
        el(
          "li",
          {},
          el(
            "p",
            {},
            el("strong", {}, capital(words(entry.action))),
            entry.version ? [" ", el("code", {}, entry.version)] : null,
            el("span", { class: "soft" }, ` ${clock(entry.at)}`),
          ),
          entry.reason ? el("p", { class: "soft" }, entry.reason) : null,
          checks(entry.checks ?? []),
        ),
      ),
    ),
  );
}
