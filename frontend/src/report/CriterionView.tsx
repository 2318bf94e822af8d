/** One criterion: points, the reason, what earned them and what was missed. */
import type { ReactNode } from "react";
import { shown } from "../shared/shown";
import type { Criterion } from "../shared/types";

const CELLS = 7; // of a meter for more points than one can tell apart

export function Meter({ points, max }: { points: number; max: number }) {
  const [cells, filled] = max > 10 ? [CELLS, (points / max) * CELLS] : [Math.ceil(max), points];
  return (
    <span className="meter" aria-hidden="true">
      {Array.from({ length: cells }, (_, i) => (
        <span key={i} className={filled >= i + 1 ? "on" : filled > i ? "half" : ""} />
      ))}
    </span>
  );
}

interface Props {
  /** Of the element; the criterion's own id is not the only one of its name on the page. */
  id: string;
  criterion: Criterion;
  active: boolean;
  /** Whether a person has decided, so that the scorer's doubts no longer matter. */
  settled: boolean;
  /** Whether a person gave the points, because the scorer could not. */
  byHand: boolean;
  /** The points before a rescore, when there was one. */
  before?: number | undefined;
  onPick: () => void;
  children?: ReactNode;
}

/** "41 % sure": nothing where no doubt is left. */
function Sureness({ confidence }: { confidence: number }) {
  const percent = Math.round(100 * confidence);
  if (percent >= 100) return null;
  return (
    <span className="soft" title="The scorer's own chance that a careful reader would give exactly these points">
      {" "}
      {percent} % sure of these points.
    </span>
  );
}

const DOUBT = { counted: "only just counted", missed: "only just missed", wrong: "a mistake?", unlisted: "the same in other words?" };

function LookFirst({ unsure }: Pick<Criterion, "unsure">) {
  return (
    <div className="small" style={{ margin: "var(--s2) 0" }}>
      <strong>Look here first</strong>
      <ul style={{ margin: "var(--s1) 0 0", padding: 0, listStyle: "none" }}>
        {unsure.map(({ kind, id, text, words }) => (
          <li key={kind + id} style={{ marginTop: "var(--s1)" }}>
            <span className={`badge ${kind === "wrong" ? "warn" : ""}`}>{DOUBT[kind]}</span> {text}
            {words && <span className="soft"> — “{words.trim()}”</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}

export function CriterionView({ id, criterion, active, settled, byHand, before, onPick, children }: Props) {
  const level = criterion.levels[Math.floor(criterion.points)];
  const words = [...new Set(criterion.evidence.filter(({ channel }) => channel === "text").map(({ text }) => `“${text.trim()}”`))];
  const drawn = [...new Set(criterion.evidence.filter(({ channel }) => channel === "scene").map(({ text }) => text))];
  return (
    <article className={`criterion ${active ? "active" : ""}`} id={id}>
      <div className="row between">
        <h4 style={{ margin: 0, flex: 1 }}>
          <button type="button" className="quiet compact" style={{ padding: 0, color: "inherit", whiteSpace: "normal", textAlign: "left", lineHeight: 1.3 }} aria-pressed={active} onClick={onPick}>
            {criterion.title}
          </button>
        </h4>
        <Meter points={criterion.points} max={criterion.max} />
        <span className="points">
          {shown(criterion.points)}
          <span className="soft small">/{criterion.max}</span>
        </span>
      </div>
      {before !== undefined && before !== criterion.points && (
        <p className="small" style={{ margin: "var(--s1) 0" }}>
          <span className="badge info">
            was {shown(before)}, now {shown(criterion.points)}
          </span>
        </p>
      )}
      {level && <p className="soft small" style={{ margin: "var(--s1) 0" }}>{level}</p>}
      {criterion.reason && (
        <p className="small" style={{ margin: "var(--s1) 0" }}>
          {criterion.reason}
          {!settled && !criterion.override && criterion.confidence !== null && <Sureness confidence={criterion.confidence} />}
        </p>
      )}
      {!settled && !criterion.override && criterion.unsure.length > 0 && <LookFirst unsure={criterion.unsure} />}
      {words.length > 0 && <p className="hidden-text">Words that count: {words.join(", ")}</p>}
      {drawn.length > 0 && (
        <details className="small">
          <summary>Drawn ({drawn.length})</summary>
          <ul style={{ marginTop: "var(--s1)" }}>
            {drawn.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </details>
      )}
      {criterion.missed.length > 0 && (
        <details className="small">
          <summary>Missed ({criterion.missed.length})</summary>
          <ul style={{ marginTop: "var(--s1)" }}>
            {criterion.missed.map((text, i) => (
              <li key={i}>{text}</li>
            ))}
          </ul>
        </details>
      )}
      {criterion.override && (
        <p className="banner small written" style={{ margin: "var(--s2) 0 0" }}>
          <strong><bdi>{criterion.override.by}</bdi></strong>{" "}
          {criterion.override.points === criterion.auto_points ? (byHand ? "gave" : "confirmed") : `changed ${shown(criterion.auto_points)} to`} {shown(criterion.override.points)}
          {criterion.override.reason && `: ${criterion.override.reason}`}
        </p>
      )}
      {children}
    </article>
  );
}
