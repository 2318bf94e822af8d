/** `span.math` and `div.math` hold TeX; KaTeX draws it in place. */
import katex from "katex";
import "katex/dist/katex.min.css";

export function renderMath(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>(".math:not([data-drawn])")) {
    element.dataset.drawn = "";
    katex.render(element.textContent ?? "", element, {
      displayMode: element.tagName === "DIV",
      throwOnError: false,
      trust: false,
    });
  }
}
