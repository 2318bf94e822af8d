/** What forms that give points are made of. */
import type { ReactNode, Ref } from "react";
import type { Criterion } from "../shared/types";

interface Choices {
  criterion: Pick<Criterion, "max" | "levels">;
  name: string;
  value: number | undefined;
  onChoose: (value: number) => void;
  legend: ReactNode;
  fieldset?: Ref<HTMLFieldSetElement> | undefined;
  children?: ReactNode;
}

/** A criterion's points, one button for each. To choose what stands is a choice, too; a radio that is checked already says so by a click only. */
export function PointChoices({ criterion, name, value, onChoose, legend, fieldset, children }: Choices) {
  return (
    <fieldset className="choices" ref={fieldset}>
      {legend}
      {Array.from({ length: Math.floor(criterion.max) + 1 }, (_, points) => (
        <label key={points} title={criterion.levels[points]}>
          <input type="radio" name={name} checked={value === points} onChange={() => onChoose(points)} onClick={() => onChoose(points)} /> {points}
        </label>
      ))}
      {children}
    </fieldset>
  );
}

export function Why({ id, label, reason, onChange }: { id: string; label: string; reason: string; onChange: (reason: string) => void }) {
  return (
    <div>
      <label htmlFor={id}>{label}</label>
      <textarea id={id} value={reason} required maxLength={10000} onChange={(event) => onChange(event.target.value)} />
    </div>
  );
}

export function Failure({ problem }: { problem: string | null }) {
  return (
    problem && (
      <p className="banner bad small" role="alert">
        {problem}
      </p>
    )
  );
}
