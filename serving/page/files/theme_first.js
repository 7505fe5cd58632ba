// Before the first paint, so that a chosen theme does not flash. Not a module: modules run later.
(() => {
  try {
    const chosen = localStorage.getItem("bearmode-theme");
    const dark =
      chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  } catch {
    // Storage is refused in some private windows: the system's theme it is.
  }
})();
