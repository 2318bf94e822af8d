/** An interviewer's points for one criterion, with the reason that the candidate reads. */
import { useId, useState } from "react";
import type { Criterion } from "../shared/types";

interface Props {
  criterion: Criterion;
  onSave: (points: number, reason: string) => Promise<boolean>;
}

export function OverrideForm({ criterion, onSave }: Props) {
  const [points, setPoints] = useState<number | null>(null);
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const id = useId();
  const same = points === criterion.points;
  // Choosing the points that stand is a choice, too: it confirms them. A radio that is checked already says so by a click only.
  const choose = (value: number): void => setPoints(value);
  const choices = Array.from({ length: Math.floor(criterion.max) + 1 }, (_, i) => i);
  return (
    <form
      className="no-print"
      style={{ marginTop: "var(--s2)" }}
      onSubmit={(event) => {
        event.preventDefault();
        if (points === null) return;
        setBusy(true);
        void onSave(points, reason).then((ok) => {
          setBusy(false);
          if (ok) {
            setPoints(null);
            setReason("");
          }
        });
      }}
    >
      <fieldset className="choices">
        <legend className="hidden-text">Points for {criterion.title}</legend>
        {choices.map((value) => (
          <label key={value} title={criterion.levels[value]}>
            <input type="radio" name={id} checked={(points ?? criterion.points) === value} onChange={() => choose(value)} onClick={() => choose(value)} /> {value}
          </label>
        ))}
      </fieldset>
      {points !== null && (
        <div className="stack" style={{ marginTop: "var(--s2)" }}>
          <div>
            <label htmlFor={`${id}-why`}>Why? The candidate reads this.</label>
            <textarea id={`${id}-why`} value={reason} required maxLength={10000} onChange={(event) => setReason(event.target.value)} />
          </div>
          <div className="row">
            <button type="submit" className="primary compact" disabled={busy || !reason.trim()}>
              {same ? "Confirm" : "Set to"} {points}
            </button>
            <button type="button" className="compact quiet" onClick={() => setPoints(null)}>
              {same ? "Cancel" : `Keep ${criterion.points}`}
            </button>
          </div>
        </div>
      )}
    </form>
  );
}
