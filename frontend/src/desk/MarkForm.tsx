/** A person's points for an answer that could not be scored, all criteria at once: a sum of some of them would say nothing. */
import { useId, useState } from "react";
import type { Score } from "../shared/types";
import { Failure, PointChoices, Why } from "./pieces";
import { useAction, useUnsaved } from "./useAction";

interface Props {
  score: Score;
  /** Returns why it failed, or null. */
  onSave: (points: Record<string, number>, reason: string) => Promise<string | null>;
  onDone: () => void;
}

export function MarkForm({ score, onSave, onDone }: Props) {
  const [points, setPoints] = useState<Record<string, number>>({});
  const [reason, setReason] = useState("");
  const saving = useAction();
  const id = useId();
  const left = score.to_mark.filter((criterion) => points[criterion.id] === undefined).length;
  useUnsaved(Object.keys(points).length > 0 || reason.trim() !== "");
  return (
    <details className="card no-print">
      <summary>Give points by hand</summary>
      <form
        className="stack"
        style={{ marginTop: "var(--s3)" }}
        onSubmit={(event) => {
          event.preventDefault();
          void saving.run(() => onSave(points, reason)).then((ok) => ok && onDone());
        }}
      >
        {score.to_mark.map((criterion) => {
          const chosen = points[criterion.id];
          const level = chosen === undefined ? undefined : criterion.levels[chosen];
          return (
            <PointChoices
              key={criterion.id}
              legend={<legend>{criterion.title}</legend>}
              criterion={criterion}
              name={`${id}-${criterion.id}`}
              value={chosen}
              onChoose={(value) => setPoints((before) => ({ ...before, [criterion.id]: value }))}
            >
              {level && (
                <p className="soft small" role="status" style={{ flexBasis: "100%", margin: 0 }}>
                  {level}
                </p>
              )}
            </PointChoices>
          );
        })}
        <Why id={`${id}-why`} label="Why? The candidate reads this beside every criterion." reason={reason} onChange={setReason} />
        <div className="row">
          <button type="submit" className="primary compact" disabled={left > 0 || !reason.trim()} aria-disabled={saving.busy}>
            Give these points
          </button>
          {left > 0 && <span className="soft small">{left} of {score.to_mark.length} still to choose</span>}
        </div>
        <Failure problem={saving.problem} />
      </form>
    </details>
  );
}
