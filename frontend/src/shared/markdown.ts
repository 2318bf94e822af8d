/** HTML that the server made of Markdown: `span.math` and `div.math` hold TeX, which KaTeX draws in place, and `pre` may be wider than the page. */

export function finish(root: ParentNode): void {
  // A block that scrolls must be reachable by keyboard.
  for (const block of root.querySelectorAll("pre")) block.tabIndex = 0;
  const formulas = [...root.querySelectorAll<HTMLElement>(".math:not([data-drawn])")];
  if (!formulas.length) return;
  for (const formula of formulas) formula.dataset.drawn = "";
  import("./katex").then(
    ({ draw }) => formulas.forEach(draw),
    () => undefined, // the TeX stays, which can be read too
  );
}
