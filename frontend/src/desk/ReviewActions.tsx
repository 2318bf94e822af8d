import { useRef } from "react";
import { api } from "../shared/api";
import type { Report } from "../shared/types";
import type { Action } from "./useAction";

/** What the interviewer had before them. */
type Seen = Parameters<typeof api.publish>[1];

function Publish({ report, waits, onPublish }: { report: Report; waits: boolean; onPublish: (seen: Seen) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  // As it was when the dialog opened: behind it the report goes on being refreshed.
  const seen = useRef<Seen>({ scores: [], seen: 0 });
  const { status, candidate } = report.interview;
  const again = status === "published";
  if (again && !report.publish_again) return null;
  const open = (): void => {
    if (waits) return;
    seen.current = { scores: report.questions.flatMap(({ score }) => (score ? [score.id] : [])), seen: report.seq };
    dialog.current?.showModal();
  };
  return (
    <>
      <button type="button" className="primary" aria-disabled={waits} onClick={open}>
        {again ? "Publish again" : "Publish"}
      </button>
      <dialog ref={dialog} aria-labelledby="publish-title">
        <h2 id="publish-title">{again ? "Publish this review again?" : "Publish this review?"}</h2>
        {again ? (
          <p>Some scores are newer than what was published. <bdi>{candidate}</bdi> then sees these, too, as reviewed by a person.</p>
        ) : (
          <p>
            <bdi>{candidate}</bdi> then reads your notes and sees the scores as reviewed by a person. You can still change points afterwards; every change is kept with
            its reason.
          </p>
        )}
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <button type="button" onClick={() => dialog.current?.close()}>
            Not yet
          </button>
          <button
            type="button"
            className="primary"
            onClick={() => {
              dialog.current?.close();
              onPublish(seen.current);
            }}
          >
            Publish now
          </button>
        </div>
      </dialog>
    </>
  );
}

/** What is done with the whole review. While it is scored again, it can be neither scored nor published. */
export function ReviewActions({ report, doing, act }: { report: Report; doing: Action; act: (call: () => Promise<Report>) => Promise<string | null> }) {
  const { id, status } = report.interview;
  const rescoring = report.questions.some((question) => question.rescoring);
  const waits = rescoring || doing.busy;
  const state = useRef<HTMLSpanElement>(null);
  const publish = async (seen: Seen): Promise<void> => {
    if (await doing.run(() => act(() => api.publish(id, seen)))) state.current?.focus(); // the button is gone
  };
  if (status !== "scored" && status !== "published") return <span className="badge info">being graded</span>;
  return (
    <span className="row">
      <span role="status" ref={state} tabIndex={-1} className="row">
        {status === "published" && <span className="badge good">published</span>}
        {rescoring && (
          <span className="badge info">
            <span className="spinner" aria-hidden="true" /> being scored again
          </span>
        )}
      </span>
      <button
        type="button"
        title="With the scorer as it is now. The scores so far are kept."
        aria-disabled={waits}
        onClick={() => !waits && void doing.run(() => act(() => api.rescore(id)))}
      >
        Score again
      </button>
      {report.questions.some((question) => question.run) && (
        <a className="button" href={`/review/rejudges/new/?interview=${id}`} title="Against the tests as they are now. You see what would change before it counts.">
          Judge code again
        </a>
      )}
      <Publish report={report} waits={waits} onPublish={(seen) => void publish(seen)} />
    </span>
  );
}
