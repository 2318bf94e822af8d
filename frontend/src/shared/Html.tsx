/** HTML that the server made from Markdown and sanitised, with its formulas drawn and its code in reach of the keyboard. */
import { memo, useEffect, useRef } from "react";
import { finish } from "./markdown";

export const Html = memo(function Html({ html, className = "prose" }: { html: string; className?: string }) {
  const ref = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (ref.current) finish(ref.current);
  }, [html]);
  return <div ref={ref} className={className} dangerouslySetInnerHTML={{ __html: html }} />;
});
