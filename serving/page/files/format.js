// Numbers and times in words. A value that is not there is a dash with a name, never a zero.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const MISSING = "–";

export function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** Share as percent: 0.6512 -> 65 %. */
export function percent(share, digits = 0) {
  return known(share) ? `${(100 * share).toFixed(digits)} %` : MISSING;
}

/** Probability as percent that never claims certainty. */
export function chance(share) {
  if (!known(share)) return MISSING;
  if (share > 0.99 && share < 1) return "> 99 %";
  if (share < 0.01 && share > 0) return "< 1 %";
  return percent(share);
}

/** Small fraction with as many digits as it needs: 0.00012 -> 0.012 %. */
export function fine(share) {
  if (!known(share)) return MISSING;
  const size = Math.abs(100 * share);
  return `${(100 * share).toFixed(size === 0 || size >= 10 ? 0 : size >= 1 ? 1 : size >= 0.1 ? 2 : 3)} %`;
}

export function price(value) {
  if (!known(value)) return MISSING;
  const size = Math.abs(value);
  const digits =
    size >= 10_000 ? 0 : size >= 100 ? 1 : size >= 1 ? 3 : Math.min(8, 3 - Math.floor(Math.log10(size || 1)));
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function number(value, digits = 6) {
  return known(value) ? value.toLocaleString("en-US", { maximumSignificantDigits: digits }) : MISSING;
}

/** Leverage: 2.4 -> 2.4×. */
export function times(value) {
  return known(value) ? `${value.toFixed(1)}×` : MISSING;
}

export function signed(share, digits = 1) {
  return known(share)
    ? `${share > 0 ? "+" : share < 0 ? "−" : ""}${(100 * Math.abs(share)).toFixed(digits)} %`
    : MISSING;
}

/** Milliseconds of a time on the wire: ISO text or a number. */
export function moment(value) {
  if (known(value)) return value;
  const parsed = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(parsed) ? null : parsed;
}

/** 2024-12-31 23:00, UTC. */
export function clock(value) {
  const at = moment(value);
  return at === null ? MISSING : new Date(at).toISOString().slice(0, 16).replace("T", " ");
}

export function day(value) {
  const at = moment(value);
  return at === null ? MISSING : new Date(at).toISOString().slice(0, 10);
}

/** How long, roughly: 2.1 days. */
export function span(milliseconds) {
  if (!known(milliseconds)) return MISSING;
  const size = Math.max(0, milliseconds);
  if (size < 90 * 1000) return `${Math.round(size / 1000)} s`;
  if (size < 90 * MINUTE) return `${Math.round(size / MINUTE)} min`;
  if (size < 36 * HOUR) return `${Math.round(size / HOUR)} h`;
  if (size < 10 * DAY) return `${(size / DAY).toFixed(1)} days`;
  return `${Math.round(size / DAY)} days`;
}

/** moving_average_cross -> moving average cross. */
export function words(name) {
  return String(name ?? MISSING).replaceAll("_", " ");
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Milliseconds of a bar: 1h -> 3,600,000. */
export function barLength(interval) {
  const found = /^(\d+)([mhd])$/.exec(interval ?? "");
  return found ? Number(found[1]) * { m: MINUTE, h: HOUR, d: DAY }[found[2]] : HOUR;
}

export { DAY, HOUR, MINUTE };
