/** One question of the report: the answer beside its criteria. The desk puts its controls into each criterion. */
import { type ReactNode, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { FlightView } from "../shared/FlightView";
import { Html } from "../shared/Html";
import { RunView } from "../shared/RunView";
import { shown } from "../shared/shown";
import type { Criterion, ReportQuestion, Score } from "../shared/types";
import { when } from "../shared/when";
import { AnswerView, Drawn } from "./Answer";
import { label } from "./Bands";
import { CriterionView } from "./CriterionView";

const BY_HAND = "a person"; // as the server names what graded

function ScoreLine({ question }: { question: ReportQuestion }) {
  const score = question.score;
  if (!score)
    return (
      <span className="badge info">
        <span className="spinner" aria-hidden="true" /> being graded
      </span>
    );
  const again = question.rescoring && (
    <span className="badge info">
      <span className="spinner" aria-hidden="true" /> being scored again
    </span>
  );
  if (score.state === "not_scored")
    return (
      <span className="row">
        {again}
        <span className="badge warn">not scored</span>
      </span>
    );
  return (
    <span className="row">
      {again}
      {score.state === "review" && <span className="badge warn">for review</span>}
      <span className="badge accent">{label(score.level, score.bands)}</span>
      <strong className="num">
        {score.total !== null && shown(score.total)} of {shown(score.max)}
      </strong>
    </span>
  );
}

interface Props {
  question: ReportQuestion;
  controls?: ((criterion: Criterion, score: Score) => ReactNode) | undefined;
  /** What stands beside the answer where there are no points. */
  children?: ReactNode;
}

export function QuestionView({ question, controls, children }: Props) {
  const [active, setActive] = useState<string | null>(null);
  const score = question.score;
  const answer = useRef<HTMLElement>(null);
  // Questions share criterion ids, so the page's ids name the question too.
  const place = (criterion: string): string => `criterion-${question.id}-${criterion}`;
  const pick = (id: string): void => flushSync(() => setActive(id === active ? null : id));
  const showCriterion = (id: string): void => {
    pick(id);
    document.getElementById(place(id))?.scrollIntoView({ block: "nearest" });
  };
  const showWords = (id: string): void => {
    pick(id);
    answer.current?.querySelector("mark.active")?.scrollIntoView({ block: "nearest" });
  };
  return (
    <section className="stack" aria-labelledby={`q-${question.id}`} style={{ marginTop: "var(--s7)" }}>
      <div className="row between">
        <h2 id={`q-${question.id}`} tabIndex={-1} style={{ margin: 0 }}>
          {question.position + 1}. {question.title}
        </h2>
        <ScoreLine question={question} />
      </div>
      {question.withheld && (
        <p className="banner">
          You are asked this question in another of your interviews, too. What was missed, what the interviewer wrote and the model answer are shown here when that
          interview is over. One that you set up and don't start counts for a day, discarded or not.
        </p>
      )}
      {score?.reason && <p className={`banner ${score.state === "scored" ? "" : "warn"}`}>{score.reason}</p>}
      {score?.rescore_failed && <p className="banner">Scoring it again failed, so this score stands: {score.rescore_failed}</p>}
      {score?.before && score.total !== null && (
        <p className="banner">
          Scored again: {score.before.total === score.total ? `${shown(score.total)}, as before` : `${shown(score.before.total)} before, ${shown(score.total)} now`}
          {score.before.scorer !== score.scorer && ` (by ${score.before.scorer}, then ${score.scorer})`}. The earlier score of{" "}
          <time dateTime={score.before.at}>{when(score.before.at)}</time> is kept.
        </p>
      )}
      <details className="card">
        <summary>The question</summary>
        <div style={{ marginTop: "var(--s3)" }}>
          <Html html={question.prompt_html} />
        </div>
      </details>
      <Drawn question={question} />
      <div className="split">
        <section className="card sticky" aria-label={`Answer to ${question.title}`} ref={answer}>
          <h3>Answer</h3>
          <AnswerView question={question} active={active} onPick={showCriterion} />
        </section>
        <section aria-label={`Criteria of ${question.title}`}>
          {score?.criteria.map((criterion) => (
            <CriterionView
              key={criterion.id}
              id={place(criterion.id)}
              criterion={criterion}
              settled={score.settled}
              byHand={score.scorer === BY_HAND}
              before={score.before?.points[criterion.id]}
              active={criterion.id === active}
              onPick={() => showWords(criterion.id)}
            >
              {controls?.(criterion, score)}
            </CriterionView>
          ))}
          {score && !score.criteria.length && (children || <p className="empty">There are no points to show.</p>)}
        </section>
      </div>
      {question.run && (
        <details className="card" open={!!question.run.flight}>
          <summary>What the code did</summary>
          <div className="stack" style={{ marginTop: "var(--s3)" }}>
            <RunView run={question.run} />
            {question.run.flight && <FlightView flight={question.run.flight} />}
          </div>
        </details>
      )}
      {question.model_answer_html && (
        <details className="card">
          <summary>A model answer</summary>
          <div style={{ marginTop: "var(--s3)" }}>
            <Html html={question.model_answer_html} />
          </div>
        </details>
      )}
      {score && (
        <p className="small soft mono">
          question {score.version.question.slice(0, 8)} · rubric {score.version.rubric.slice(0, 8)} · {score.scorer || "no scorer"}
        </p>
      )}
    </section>
  );
}
