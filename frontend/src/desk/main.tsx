import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { QuestionView } from "../report/QuestionView";
import { Summary } from "../report/Summary";
import { useReport } from "../report/useReport";
import { api } from "../shared/api";
import type { Report } from "../shared/types";
import { OverrideForm } from "./OverrideForm";

/** j and k move between criteria, digits choose points, as long as nobody is typing. */
function useKeys(): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (target.closest("textarea, select, input:not([type=radio])") || event.ctrlKey || event.metaKey || event.altKey) return;
      const all = [...document.querySelectorAll<HTMLElement>(".criterion")];
      const here = all.findIndex((element) => element.contains(document.activeElement));
      if (event.key === "j" || event.key === "k") {
        const next = all[Math.min(all.length - 1, Math.max(0, here + (event.key === "j" ? 1 : -1)))];
        next?.querySelector<HTMLElement>("input:checked, input, button")?.focus();
        next?.scrollIntoView({ block: "nearest" });
      } else if (/^[0-9]$/.test(event.key) && here >= 0) {
        all[here]!.querySelectorAll<HTMLInputElement>("input[type=radio]")[Number(event.key)]?.click();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
}

function Notes({ report, onNote }: { report: Report; onNote: (text: string) => Promise<boolean> }) {
  const [text, setText] = useState("");
  return (
    <section className="card stack" aria-labelledby="notes-title" style={{ marginTop: "var(--s4)" }}>
      <h2 id="notes-title">Notes</h2>
      {report.notes.length === 0 && <p className="soft">No notes yet. The candidate reads them once you publish.</p>}
      {report.notes.map((note) => (
        <p key={note.id} style={{ whiteSpace: "pre-wrap" }}>
          {note.text} <span className="soft small">{note.by}, {new Date(note.at).toLocaleString()}</span>
        </p>
      ))}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void onNote(text).then((ok) => ok && setText(""));
        }}
      >
        <label htmlFor="note">A note to the candidate</label>
        <textarea id="note" value={text} maxLength={10000} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="compact" style={{ marginTop: "var(--s2)" }} disabled={!text.trim()}>
          Add the note
        </button>
      </form>
    </section>
  );
}

function Publish({ report, act }: { report: Report; act: (call: () => Promise<Report>) => Promise<boolean> }) {
  const dialog = useRef<HTMLDialogElement>(null);
  // As they were when the dialog opened: behind it the report goes on being refreshed.
  const scores = useRef<string[]>([]);
  const { id, status, candidate } = report.interview;
  const again = status === "published";
  if (status !== "scored" && !again) return <span className="badge info">being graded</span>;
  if (again && !report.publish_again) return <span className="badge good">published</span>;
  const open = (): void => {
    scores.current = report.questions.flatMap(({ score }) => (score ? [score.id] : []));
    dialog.current?.showModal();
  };
  return (
    <>
      {again && <span className="badge good">published</span>}
      <button type="button" className="primary" onClick={open}>
        {again ? "Publish again" : "Publish"}
      </button>
      <dialog ref={dialog} aria-labelledby="publish-title">
        <h2 id="publish-title">{again ? "Publish this review again?" : "Publish this review?"}</h2>
        {again ? (
          <p>Some scores are newer than what was published. {candidate} then sees these, too, as reviewed by a person.</p>
        ) : (
          <p>
            {candidate} then reads your notes and sees the scores as reviewed by a person. You can still change points afterwards; every change is kept with
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
              void act(() => api.publish(id, scores.current));
            }}
          >
            Publish now
          </button>
        </div>
      </dialog>
    </>
  );
}

function Desk({ id }: { id: string }) {
  const { report, problem, act } = useReport(id);
  useKeys();
  return (
    <div className="wrap page">
      {problem && (
        <p className="banner bad" role="alert">
          {problem}
        </p>
      )}
      {!report && !problem && (
        <p className="soft">
          <span className="spinner" aria-hidden="true" /> Loading…
        </p>
      )}
      {report && (
        <>
          <div className="row between no-print" style={{ marginBottom: "var(--s4)" }}>
            <p className="small soft" style={{ margin: 0 }}>
              <kbd>j</kbd> <kbd>k</kbd> next and previous criterion · <kbd>0</kbd>–<kbd>4</kbd> points
            </p>
            {report.can_review && (
              <span className="row">
                {(report.interview.status === "scored" || report.interview.status === "published") && (
                  <button type="button" title="With the scorer as it is now. The scores so far are kept." onClick={() => void act(() => api.rescore(id))}>
                    Score again
                  </button>
                )}
                {report.questions.some((question) => question.run) && report.interview.status !== "grading" && (
                  <a className="button" href={`/review/rejudges/new/?interview=${id}`} title="Against the tests as they are now. You see what would change before it counts.">
                    Judge code again
                  </a>
                )}
                <Publish report={report} act={act} />
              </span>
            )}
          </div>
          {!report.can_review && <p className="banner warn">This is your own interview: a colleague reviews it.</p>}
          <Summary report={report} />
          {report.can_review && <Notes report={report} onNote={(text) => act(() => api.note(id, { text, question_id: null }))} />}
          {report.questions.map((question) => (
            <QuestionView
              key={question.id}
              question={question}
              controls={
                report.can_review && question.score
                  ? (criterion) => (
                      <OverrideForm
                        criterion={criterion}
                        onSave={(points, reason) => act(() => api.override(id, { score_id: question.score!.id, criterion_id: criterion.id, points, reason }))}
                      />
                    )
                  : undefined
              }
            />
          ))}
        </>
      )}
    </div>
  );
}

const host = document.getElementById("desk");
if (host?.dataset.interview) createRoot(host).render(<Desk id={host.dataset.interview} />);
