// What an accessibility checker looks at first: names, roles, references, headings, contrast. Returns {texts, problems}.
function checks() {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (node) => node.checkVisibility() && node.getClientRects().length > 0;
  const words = (node) => (node.textContent || "").trim().replace(/\s+/g, " ").slice(0, 50);

  const ids = all("[id]").map((node) => node.id);
  for (const id of new Set(ids))
    if (ids.filter((one) => one === id).length > 1) problems.push(`id ${id} twice`);
  for (const node of all("[aria-labelledby]")) {
    for (const id of node.getAttribute("aria-labelledby").split(" "))
      if (!document.getElementById(id)) problems.push(`no ${id}`);
  }
  for (const node of all("a, button, summary"))
    if (!words(node) && !node.getAttribute("aria-label"))
      problems.push(`no name: ${node.outerHTML.slice(0, 80)}`);
  for (const node of all("input"))
    if (!node.labels.length && !node.getAttribute("aria-label")) problems.push(`no label: ${node.name}`);
  for (const node of all("fieldset"))
    if (!words(node.querySelector("legend") ?? node)) problems.push("fieldset without legend");
  for (const node of all("[role=img], [role=region], nav"))
    if (!node.getAttribute("aria-label") && !node.getAttribute("aria-labelledby"))
      problems.push(`no label: ${node.className}`);
  for (const node of all("table")) {
    if (!words(node.caption ?? document.createElement("p"))) problems.push("table without caption");
    for (const head of node.querySelectorAll("th"))
      if (!head.scope) problems.push(`th without scope: ${words(head)}`);
  }
  for (const node of all("svg:not(.main-svg)")) {
    const hidden = node.closest("[aria-hidden=true], [role=img]");
    if (!hidden) problems.push(`svg is read aloud: ${node.outerHTML.slice(0, 60)}`);
  }
  if (document.documentElement.lang !== "en") problems.push("no language");
  for (const name of ["main", "header", "footer", "h1"])
    if (all(name).length !== 1) problems.push(`${all(name).length} of ${name}`);
  let level = 0;
  for (const node of all("h1, h2, h3, h4")) {
    const now = Number(node.tagName[1]);
    if (now > level + 1) problems.push(`heading jumps to ${node.tagName}: ${words(node)}`);
    level = now;
  }
  if (all("[tabindex]").some((node) => node.tabIndex > 0)) problems.push("tabindex above 0");

  // Any CSS colour as sRGB, drawn by the browser itself.
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const ground = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) {
      layers.push(rgba(getComputedStyle(one).backgroundColor));
      if (layers.at(-1)[3] > 0.99) break;
    }
    return layers.reduceRight(
      (below, [r, g, b, a]) => [r, g, b].map((value, at) => value * a + below[at] * (1 - a)),
      [255, 255, 255],
    );
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) =>
      value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (
      !walker.currentNode.data.trim() ||
      !shown(node) ||
      node.closest("svg, .unseen, .skip, noscript, script")
    )
      continue;
    texts += 1;
    const style = getComputedStyle(node);
    const [below, [r, g, b, a]] = [ground(node), rgba(style.color)];
    const ink = [r, g, b].map((value, at) => value * a + below[at] * (1 - a));
    const [low, high] = [light(ink), light(below)].sort((one, other) => one - other);
    const ratio = (high + 0.05) / (low + 0.05);
    const large =
      parseFloat(style.fontSize) >= 24 ||
      (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) problems.push(`contrast ${ratio.toFixed(2)}: ${words(node)}`);
  }
  return { texts, problems: [...new Set(problems)] };
}
