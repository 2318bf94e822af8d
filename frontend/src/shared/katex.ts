/** KaTeX, loaded only where there is a formula. */
import katex from "katex";
import "katex/dist/katex.min.css";

export function draw(element: HTMLElement): void {
  katex.render(element.textContent ?? "", element, {
    displayMode: element.tagName === "DIV",
    throwOnError: false,
    trust: false,
  });
}
