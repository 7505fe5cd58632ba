// Start, the address, and what is read when.

import { banner, announce } from "./banners.js";
import { ApiError, ask, now, useKey } from "./api.js";
import { stateOf } from "./answers.js";
import { boardRows, choose, showBoard, startBoard } from "./board.js";
import { el, put, sleep } from "./dom.js";
import { follow } from "./events.js";
import { capital, clock, day, span } from "./format.js";
import { showModel } from "./model.js";
import { isRegime, regimeWord } from "./regimes.js";
import { open, refresh, shownSymbol } from "./symbol.js";
import { startTheme } from "./theme.js";

const POLL = 30_000;
const POLL_BESIDE_EVENTS = 120_000;
const LONGEST_WAIT = 30_000;
const SYMBOL = /^[A-Z0-9]{2,24}$/;
const state = {
  events: false,
  listening: "not yet",
  failures: 0,
  regimes: new Map(),
  due: false,
  stir: () => {},
};

/** Symbol in the address, if it names one; `#board`, `#symbol` and `#model` are sections. */
function addressed() {
  const name = decodeURIComponent(location.hash.slice(1)).toUpperCase();
  return SYMBOL.test(name) && !document.getElementById(name.toLowerCase()) ? name : null;
}

/** Show a symbol; where its parts are read by somebody else, `read` is false. */
function go(symbol, move, read = true) {
  if (symbol === null) return;
  if (symbol !== shownSymbol()) {
    open(symbol);
    choose(symbol);
    if (read) refresh();
  }
  document.title = `${symbol} · bearmode`;
  if (!move) return;
  const section = document.getElementById("symbol");
  section.scrollIntoView();
  section.focus({ preventScroll: true });
}

function connection(kind, text) {
  const node = document.getElementById("connection");
  const words = document.getElementById("connection-words");
  if (words.textContent === text) return;
  node.className = `connection ${kind}`;
  words.textContent = text;
}

/** Read board and model, then the symbol; throws only where the service does not answer at all. */
async function readAll() {
  const [board, model, journal] = await Promise.allSettled([
    ask("v1/board"),
    ask("v1/model"),
    ask("v1/journal"),
  ]);
  const gone = [board, model]
    .map((one) => one.reason)
    .find(
      (error) =>
        error instanceof ApiError && (error.unreachable || error.status === 401 || error.status === 429),
    );
  if (gone) throw gone;
  if (model.status === "fulfilled") {
    showModel(model.value, journal.value?.entries ?? null, journal.reason, now());
    modelBanners(model.value);
  } else throw model.reason;
  if (board.status === "fulfilled") {
    banner("store");
    showBoard(board.value);
    note(board.value);
    changes(boardRows());
    dataBanner();
    const first = boardRows().find((row) => !row.error) ?? boardRows()[0];
    if (shownSymbol() === null) go(addressed() ?? first?.symbol ?? null, addressed() !== null, false);
  } else noBoard(board.reason);
  answered();
  await refresh();
}

function note(board) {
  const good = boardRows().filter((row) => !row.error).length;
  document.getElementById("board-note").textContent =
    `${good} of ${boardRows().length} symbols answered · bars of ${board.interval} · model ${board.model.version}`;
}

function noBoard(error) {
  document.getElementById("board-note").textContent = "";
  if (error.code === "not_ready") banner("store");
  else
    banner("store", "bad", "No board.", `${capital(error.message)}.${error.hint ? ` ${error.hint}.` : ""}`);
  put(
    document.getElementById("board-body"),
    el("p", {}, `${capital(error.message)}.`),
    error.hint ? el("p", { class: "hint" }, error.hint) : null,
    el(
      "p",
      { class: "soft" },
      "The prediction endpoint does not need it: it answers the window that it is sent.",
    ),
  );
  const symbol = addressed();
  if (symbol !== null && shownSymbol() === null) go(symbol, false, false);
}

/** Say it aloud when a regime changed while the page was open. */
function changes(rows) {
  for (const row of rows) {
    const before = state.regimes.get(row.symbol);
    if (row.error || !isRegime(row.regime)) continue;
    if (before && before !== row.regime)
      announce(`${row.symbol} changed from ${regimeWord(before)} to ${regimeWord(row.regime)}.`);
    state.regimes.set(row.symbol, row.regime);
  }
}

function modelBanners(model) {
  banner(
    "not-ready",
    ...(model.ready
      ? []
      : [
          "bad",
          "No model is served.",
          model.last_error ? `${capital(model.last_error.message)}.` : "Train one: bearmode train.",
        ]),
  );
  banner(
    "load",
    ...(model.ready && model.last_error
      ? [
          "warn",
          "A newer model was refused;",
          `the last good one answers. ${capital(model.last_error.message)}.`,
        ]
      : []),
  );
  const simulated = model.ready && model.manifest?.data_source === "simulated";
  banner(
    "simulated",
    ...(simulated
      ? [
          "warn",
          "Trained on a simulated market.",
          "The figures below are an exercise. For real symbols the leverage is at most 1×.",
        ]
      : []),
  );
  const until = model.ready ? Date.parse(model.training.trained_until) : null;
  const days = until === null ? 0 : (now() - until) / 86_400_000;
  const { stale_after_days: stale = Infinity, expires_after_days: end = Infinity } =
    model.manifest?.advice ?? {};
  const expired = days > end;
  const text =
    until === null
      ? ""
      : `It was trained until ${day(until)}, ${span(now() - until)} ago. ${expired ? "An answer about now has leverage at most 1×." : "The leverage of an answer about now is cut."} Train again: bearmode retrain.`;
  banner(
    "model-age",
    ...(days > stale
      ? [expired ? "bad" : "warn", expired ? "The model has expired." : "The model is stale.", text]
      : []),
  );
}

function dataBanner() {
  const rows = boardRows().filter((row) => row.newest !== null && !row.error);
  const stale = rows.filter((row) => stateOf(row.newest, row.bar) === "stale");
  if (stale.length === 0) return banner("data");
  const newest = Math.max(...stale.map((row) => row.newest));
  const which =
    stale.length === rows.length
      ? "The data is stale."
      : `The data of ${stale
          .map((row) => row.symbol)
          .slice(0, 5)
          .join(", ")}${stale.length > 5 ? " and others" : ""} is stale.`;
  return banner(
    "data",
    "bad",
    which,
    `The newest bar closed ${clock(newest)} UTC, ${span(now() - newest)} ago. The answers are about then, not about now. Bring it up to date: bearmode update.`,
  );
}

function failed(error) {
  state.failures += 1;
  if (state.listening === "over") state.listening = "not yet";
  const form = document.getElementById("key-form");
  form.hidden = error.status !== 401;
  if (error.status === 401) {
    connection("down", "Key needed");
    banner("service");
    return;
  }
  connection("down", "Not connected");
  if (error.unreachable || !(error instanceof ApiError)) {
    banner(
      "service",
      "bad",
      "The service does not answer.",
      "What is shown below may be out of date. The page goes on asking and recovers by itself.",
    );
  } else
    banner(
      "service",
      "bad",
      "The service refuses.",
      `${capital(error.message)}.${error.hint ? ` ${error.hint}.` : ""}`,
    );
}

/** Follow the events where live mode is on; asked again after every time that the service was away. */
async function listen() {
  if (state.listening !== "not yet") return;
  state.listening = "now";
  const show = (live) => {
    state.events = live;
    if (state.failures === 0) connection("live", live ? "Live" : "Connected");
    if (!live) wake();
  };
  try {
    const live = await ask("v1/live");
    if (live.state !== "off") await follow("v1/events", wake, show);
  } catch (error) {
    if (!(error instanceof ApiError)) console.error(error);
  } finally {
    state.listening = "over";
  }
}

function answered() {
  listen();
  state.failures = 0;
  document.getElementById("key-form").hidden = true;
  document.getElementById("key").value = "";
  banner("service");
  connection("live", state.events ? "Live" : "Connected");
}

/** Read now, or once more if a reading is under way: what it began with may be old already. */
function wake() {
  state.due = true;
  state.stir();
}

async function keepReading() {
  for (;;) {
    state.due = false;
    try {
      await readAll();
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      failed(error);
    }
    const wait = state.failures
      ? Math.min(LONGEST_WAIT, 1000 * 2 ** state.failures)
      : state.events
        ? POLL_BESIDE_EVENTS
        : POLL;
    if (!state.due) await Promise.race([sleep(wait), new Promise((done) => (state.stir = done))]);
  }
}

function start() {
  startTheme();
  startBoard();
  addEventListener("hashchange", () => go(addressed(), true));
  addEventListener("online", wake);
  document.addEventListener("visibilitychange", () => !document.hidden && wake());
  document.getElementById("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useKey(document.getElementById("key").value);
    wake();
  });
  keepReading();
}

start();
