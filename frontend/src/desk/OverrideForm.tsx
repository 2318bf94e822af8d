/** An interviewer's points for one criterion, with the reason that the candidate reads. */
import { useId, useRef, useState } from "react";
import type { Criterion } from "../shared/types";
import { useAction, useUnsaved } from "./useAction";

interface Props {
  criterion: Criterion;
  /** Returns why it failed, or null. */
  onSave: (points: number, reason: string) => Promise<string | null>;
}

export function OverrideForm({ criterion, onSave }: Props) {
  const [points, setPoints] = useState<number | null>(null);
  const [reason, setReason] = useState("");
  const saving = useAction();
  const radios = useRef<HTMLFieldSetElement>(null);
  const id = useId();
  useUnsaved(points !== null && reason.trim() !== "");
  const same = points === criterion.points;
  // Choosing the points that stand is a choice, too: it confirms them. A radio that is checked already says so by a click only.
  const choose = (value: number): void => setPoints(value);
  /** Folds the form, and leaves the keyboard where it can go on. */
  const close = (): void => {
    radios.current?.querySelector<HTMLInputElement>("input:checked")?.focus();
    saving.forget();
    setPoints(null);
  };
  const choices = Array.from({ length: Math.floor(criterion.max) + 1 }, (_, i) => i);
  return (
    <form
      className="no-print"
      style={{ marginTop: "var(--s2)" }}
      onSubmit={(event) => {
        event.preventDefault();
        if (points === null) return;
        void saving.run(() => onSave(points, reason)).then((ok) => {
          if (!ok) return;
          close();
          setReason("");
        });
      }}
    >
      <fieldset className="choices" ref={radios}>
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
            <button type="submit" className="primary compact" disabled={!reason.trim()} aria-disabled={saving.busy}>
              {same ? "Confirm" : "Set to"} {points}
            </button>
            <button type="button" className="compact quiet" onClick={close}>
              {same ? "Cancel" : `Keep ${criterion.points}`}
            </button>
          </div>
          {saving.problem && (
            <p className="banner bad small" role="alert">
              {saving.problem}
            </p>
          )}
        </div>
      )}
    </form>
  );
}
