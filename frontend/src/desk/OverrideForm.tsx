/** An interviewer's points for one criterion, with the reason that the candidate reads. */
import { useId, useRef, useState } from "react";
import { shown } from "../shared/shown";
import type { Criterion, Score } from "../shared/types";
import { Failure, PointChoices, Why } from "./pieces";
import { useAction, useUnsaved } from "./useAction";

/** The points that were chosen, and what they were chosen upon: a refresh may show another score, or a colleague's points, before they are sent. */
export interface Choice {
  points: number;
  score_id: string;
  after: number;
}

export function choice(points: number, score: Score, criterion: Criterion): Choice {
  return { points, score_id: score.id, after: criterion.override?.id ?? 0 };
}

interface Props {
  score: Score;
  criterion: Criterion;
  /** Returns why it failed, or null. */
  onSave: (chosen: Choice, reason: string) => Promise<string | null>;
}

export function OverrideForm({ score, criterion, onSave }: Props) {
  const [chosen, setChosen] = useState<Choice | null>(null);
  const points = chosen?.points ?? null;
  const [reason, setReason] = useState("");
  const saving = useAction();
  const radios = useRef<HTMLFieldSetElement>(null);
  const id = useId();
  useUnsaved(points !== null && reason.trim() !== "");
  const same = points === criterion.points;
  /** Folds the form, and leaves the keyboard where it can go on. */
  const close = (): void => {
    radios.current?.querySelector<HTMLInputElement>("input:checked")?.focus();
    saving.forget();
    setChosen(null);
  };
  return (
    <form
      className="no-print"
      style={{ marginTop: "var(--s2)" }}
      onSubmit={(event) => {
        event.preventDefault();
        if (chosen === null) return;
        void saving.run(() => onSave(chosen, reason)).then((ok) => {
          if (!ok) return;
          close();
          setReason("");
        });
      }}
    >
      <PointChoices
        fieldset={radios}
        legend={<legend className="hidden-text">Points for {criterion.title}</legend>}
        criterion={criterion}
        name={id}
        value={points ?? criterion.points}
        onChoose={(value) => setChosen(choice(value, score, criterion))}
      />
      {points !== null && (
        <div className="stack" style={{ marginTop: "var(--s2)" }}>
          <Why id={`${id}-why`} label="Why? The candidate reads this." reason={reason} onChange={setReason} />
          <div className="row">
            <button type="submit" className="primary compact" disabled={!reason.trim()} aria-disabled={saving.busy}>
              {same ? "Confirm" : "Set to"} {points}
            </button>
            <button type="button" className="compact quiet" onClick={close}>
              {same ? "Cancel" : `Keep ${shown(criterion.points)}`}
            </button>
          </div>
          <Failure problem={saving.problem} />
        </div>
      )}
    </form>
  );
}
