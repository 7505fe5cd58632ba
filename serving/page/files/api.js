// Questions to the service: one place for time limits, the key, ETags and the one error shape.

const TIMEOUT = 60_000;
const KEY = "bearmode-key";
const kept = new Map();
let skew = 0;

/** What went wrong, in the service's own words. `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(
    status,
    { code = "unreachable", message = "The service does not answer", hint = null, field = null } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
    this.field = field;
  }

  get unreachable() {
    return this.status === 0 || this.status === 502 || this.status === 504;
  }
}

/** Now, by the service's clock: a browser's may be wrong, and ages hang on it. */
export function now() {
  return Date.now() + skew;
}

export function useKey(key) {
  try {
    sessionStorage.setItem(KEY, key);
  } catch {
    // Refused storage: the key holds until the page is left.
  }
  useKey.value = key;
}

export function headers(extra = {}) {
  let key = useKey.value;
  try {
    key ??= sessionStorage.getItem(KEY);
  } catch {
    // As above.
  }
  return key ? { "X-API-Key": key, ...extra } : extra;
}

/**
 * JSON of a GET route, relative to the page so that a proxy's prefix is kept.
 * An answer that has not changed (304) is the same object as before.
 */
export async function ask(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query))
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  const before = kept.get(url.href);
  const extra = before
    ? { "If-None-Match": before.etag, Accept: "application/json" }
    : { Accept: "application/json" };
  let response;
  try {
    response = await fetch(url, {
      headers: headers(extra),
      signal: AbortSignal.timeout(TIMEOUT),
      cache: "no-store",
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new ApiError(0, late ? { code: "timeout", message: "The service did not answer in time" } : {});
  }
  const stamp = Date.parse(response.headers.get("date") ?? "");
  if (!Number.isNaN(stamp) && Math.abs(stamp - Date.now()) > 2000) skew = stamp - Date.now();
  else if (!Number.isNaN(stamp)) skew = 0;
  if (response.status === 304 && before) return before.content;
  let content;
  try {
    content = await response.json();
  } catch {
    throw new ApiError(response.status, {
      code: "not_json",
      message: `The service answered ${response.status} with something else than JSON`,
    });
  }
  if (!response.ok) throw new ApiError(response.status, content?.error ?? {});
  const etag = response.headers.get("etag");
  if (etag) remember(url.href, { etag, content });
  return content;
}

/** A few answers are kept, the oldest goes first. */
function remember(href, answer) {
  kept.delete(href);
  kept.set(href, answer);
  if (kept.size > 40) kept.delete(kept.keys().next().value);
}
