/** HTML that the server made from Markdown and sanitised, with its formulas drawn. */
import { memo, useEffect, useRef } from "react";
import { renderMath } from "./math";

export const Html = memo(function Html({ html, className = "prose" }: { html: string; className?: string }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!ref.current) return;
    renderMath(ref.current);
    // A block that scrolls must be reachable by keyboard.
    for (const block of ref.current.querySelectorAll("pre")) block.tabIndex = 0;
  }, [html]);
  return <div ref={ref} className={className} dangerouslySetInnerHTML={{ __html: html }} />;
});
