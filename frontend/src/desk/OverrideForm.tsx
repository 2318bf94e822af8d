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
            <input type="radio" name={id} checked={(points ?? criterion.points) === value} onChange={() => setPoints(value)} /> {value}
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
              Set to {points}
            </button>
            <button type="button" className="compact quiet" onClick={() => setPoints(null)}>
              Keep {criterion.points}
            </button>
          </div>
        </div>
      )}
    </form>
  );
}
