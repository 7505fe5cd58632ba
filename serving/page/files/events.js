// Server-sent events over fetch: unlike EventSource it can send a key, and it says why it failed.

import { headers } from "./api.js";
import { sleep } from "./dom.js";

const SILENCE = 60_000;
const LONGEST_WAIT = 60_000;

/** Split a text stream into events; keeps what is not whole yet. */
export class EventReader {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
  }

  push(text) {
    const blocks = (this.rest + text).split(/\r\n\r\n|\n\n|\r\r/);
    this.rest = blocks.pop();
    for (const block of blocks) this.#block(block);
  }

  #block(block) {
    const event = { id: null, type: "message", data: [] };
    for (const line of block.split(/\r\n|\n|\r/)) {
      const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (field === "data") event.data.push(value);
      else if (field === "event") event.type = value;
      else if (field === "id") event.id = value;
    }
    if (event.data.length > 0) this.onEvent({ ...event, data: event.data.join("\n") });
  }
}

/**
 * Follow the service's events for as long as the page is open and seen; resumes after the last one heard.
 * `onEvent(event)` for each, `onState(live)` when the stream comes or goes. Ends where the service has none.
 */
export async function follow(path, onEvent, onState) {
  let last = null;
  let wait = 1000;
  for (;;) {
    await seen();
    const stop = new AbortController();
    let live = false;
    const hide = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const extra = last === null ? {} : { "Last-Event-ID": last };
      const response = await fetch(new URL(path, document.baseURI), {
        headers: headers({ Accept: "text/event-stream", ...extra }),
        signal: stop.signal,
        cache: "no-store",
      });
      if ([404, 405, 501].includes(response.status)) return;
      if (!response.ok) throw new Error(String(response.status));
      onState((live = true));
      wait = 1000;
      await listen(response.body, stop, (event) => {
        last = event.id ?? last;
        onEvent(event);
      });
    } catch {
      // Down, restarted or hidden: ask again, later each time.
    } finally {
      document.removeEventListener("visibilitychange", hide);
      if (live) onState(false);
    }
    await sleep(wait * (0.75 + Math.random() / 2));
    wait = Math.min(LONGEST_WAIT, 2 * wait);
  }
}

async function listen(body, stop, onEvent) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const events = new EventReader(onEvent);
  let alarm;
  try {
    for (;;) {
      alarm = setTimeout(() => stop.abort(), SILENCE);
      const { done, value } = await reader.read();
      clearTimeout(alarm);
      if (done) return;
      events.push(value);
    }
  } finally {
    clearTimeout(alarm);
  }
}

function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => {
    document.addEventListener("visibilitychange", function shown() {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", shown);
      done();
    });
  });
}
