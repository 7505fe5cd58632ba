// Elements from data. Text goes in as text: nothing on this page is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children.
 * `on` holds listeners, `vars` custom properties (set through the style object, which CSP allows);
 * null, undefined and false as a child or an attribute are left out.
 */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (key === "vars")
      for (const [key_, one] of Object.entries(value)) node.style.setProperty(`--${key_}`, one);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  fill(node, children);
  return node;
}

function fill(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Replace what is in a node. */
export function put(node, ...children) {
  node.replaceChildren();
  fill(node, children);
  node.setAttribute("aria-busy", "false");
}

/** One of the drawn symbols of index.html; it is decoration, the word stands beside it. */
export function icon(name, className = "icon") {
  const node = document.createElementNS(SVG, "svg");
  node.setAttribute("class", className);
  node.setAttribute("aria-hidden", "true");
  node.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  node.append(use);
  return node;
}

/**
 * A table. `columns`: {name, words, number, title}; `rows`: arrays of cells (text, node, or {content, ...attributes}).
 * The first cell of a row is its header. The roles are written out: a phone shows rows as blocks, and a browser
 * takes a table that is laid out so for no table any more.
 */
export function table(caption, columns, rows, className = "") {
  const head = columns.map((column) =>
    el("th", { scope: "col", role: "columnheader", class: column.number ? "number" : null }, column.words),
  );
  const body = rows.map((cells) =>
    el(
      "tr",
      { role: "row" },
      cells.map((cell, place) => {
        const { content, ...attributes } =
          cell !== null && typeof cell === "object" && !(cell instanceof Node) && !Array.isArray(cell)
            ? cell
            : { content: cell };
        const kind = columns[place].number ? "number" : null;
        if (place === 0)
          return el("th", { scope: "row", role: "rowheader", class: kind, ...attributes }, content);
        return el(
          "td",
          { role: "cell", class: kind, "data-label": columns[place].words, ...attributes },
          content,
        );
      }),
    ),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      { class: className || null, role: "table" },
      el("caption", { class: "unseen" }, caption),
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, head)),
      el("tbody", { role: "rowgroup" }, body),
    ),
  );
}

/** A closed part that opens on demand. */
export function more(summary, ...children) {
  return el("details", {}, el("summary", {}, summary), ...children);
}

export function sleep(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds));
}
