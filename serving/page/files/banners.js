// What is wrong, said plainly at the top: each warning once, by name, gone when it is mended.

import { el, icon, put } from "./dom.js";

const shown = new Map();

/** Say, change or take back a warning. `kind`: "bad", "warn" or "note". */
export function banner(name, kind = null, title = "", words = "") {
  const text = kind === null ? null : JSON.stringify([kind, title, words]);
  if ((shown.get(name)?.text ?? null) === text) return;
  if (kind === null) shown.delete(name);
  else shown.set(name, { text, kind, title, words });
  const order = ["bad", "warn", "note"];
  const list = [...shown.values()].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
  put(
    document.getElementById("banners"),
    list.map((one) =>
      el(
        "div",
        { class: `banner ${one.kind}` },
        icon(one.kind === "note" ? "note" : "warning"),
        el("p", {}, el("strong", {}, one.title), " ", one.words),
      ),
    ),
  );
}

/** Words for screen readers only: what has just changed. */
export function announce(words) {
  document.getElementById("news").textContent = words;
}
