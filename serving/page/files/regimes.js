// The four regimes: word, colour, icon and pattern, so that colour is never the only sign.

import { el, icon } from "./dom.js";

export const REGIMES = ["bear", "ranging", "relief_rally", "bull"];
export const PATTERN = { bear: "", ranging: ".", relief_rally: "/", bull: "-" };
const WORDS = { bear: "Bear", ranging: "Ranging", relief_rally: "Relief rally", bull: "Bull" };

export function isRegime(name) {
  return REGIMES.includes(name);
}

export function regimeWord(name) {
  return WORDS[name] ?? "No answer";
}

/** Icon and word on the regime's colour. */
export function badge(name, size = "") {
  const kind = isRegime(name) ? name : "none";
  return el("span", { class: `badge ${kind} ${size}`.trim() }, icon(kind), regimeWord(name));
}

/** A small square with colour and icon, where the word stands elsewhere. */
export function swatch(name) {
  return el("span", { class: `swatch ${name}`, "aria-hidden": "true" }, icon(name));
}
