// Light, dark or the system's; the chosen one is kept.

const KEY = "bearmode-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

function chosen() {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "auto";
  } catch {
    return "auto";
  }
}

function keep(theme) {
  try {
    if (theme === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // It holds for this visit then.
  }
}

function show(theme) {
  const seen = theme === "auto" ? (system.matches ? "dark" : "light") : theme;
  if (document.documentElement.dataset.theme === seen) return;
  document.documentElement.dataset.theme = seen;
  for (const listener of listeners) listener(seen);
}

/** Call back whenever the colours change: charts are drawn in them. */
export function onTheme(listener) {
  listeners.add(listener);
}

/** Value of a colour of colours.css, as the present theme has it. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A colour with opacity, for fills that something shows through. */
export function faded(name, opacity) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour(name).slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

export function startTheme() {
  let theme = chosen();
  for (const input of document.querySelectorAll('input[name="theme"]')) {
    input.checked = input.value === theme;
    input.addEventListener("change", () => {
      theme = input.value;
      keep(theme);
      show(theme);
    });
  }
  system.addEventListener("change", () => show(theme));
  show(theme);
}
