import { useLayoutEffect, useRef } from "react";
import type { Interview } from "../shared/types";
import type { Answers } from "./answers";

interface Props {
  questions: Interview["questions"];
  /** The place of the one that is shown. */
  opened: number;
  answers: Answers;
  onChoose: (index: number) => void;
}

/** All questions, each with what became of it so far. On a narrow page they lie in a row that scrolls, and the one that is shown lies in its middle. */
export function Questions({ questions, opened, answers, onChoose }: Props) {
  const list = useRef<HTMLOListElement>(null);
  useLayoutEffect(() => {
    const row = list.current;
    const item = row?.children[opened];
    if (!row || !(item instanceof HTMLElement)) return;
    const [outer, inner] = [row.getBoundingClientRect(), item.getBoundingClientRect()];
    row.scrollLeft += inner.left + inner.width / 2 - (outer.left + outer.width / 2);
  }, [opened]);
  return (
    <nav aria-label="Questions">
      <ol className="questions" ref={list}>
        {questions.map((item, index) => {
          const last = item.runs.at(-1);
          return (
            <li key={item.id}>
              <button type="button" aria-current={index === opened} onClick={() => onChoose(index)}>
                <span>
                  {index + 1}. {item.title}
                </span>
                <span className="meta">
                  <span>{item.kind}</span>
                  {last?.verdict ? <span className="mono">{last.verdict}</span> : <span>{answers.isBlank(item) ? "blank" : "begun"}</span>}
                </span>
              </button>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}
