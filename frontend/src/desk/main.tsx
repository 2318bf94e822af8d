import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { QuestionView } from "../report/QuestionView";
import { Summary } from "../report/Summary";
import { useReport } from "../report/useReport";
import { api } from "../shared/api";
import { Page } from "../shared/Boundary";
import type { Report } from "../shared/types";
import { when } from "../shared/when";
import { MarkForm } from "./MarkForm";
import { OverrideForm } from "./OverrideForm";
import { ReviewActions } from "./ReviewActions";
import { useAction, useUnsaved } from "./useAction";
import { useKept } from "./useKept";

/** j and k move between criteria, digits choose points, as long as nobody is typing. Who speaks to the browser, or often hits a key unmeant, turns that off. */
function useKeys(on: boolean): void {
  useEffect(() => {
    if (!on) return;
    const onKey = (event: KeyboardEvent): void => {
      const target = event.target as HTMLElement;
      if (target.closest("textarea, select, input:not([type=radio])") || event.ctrlKey || event.metaKey || event.altKey) return;
      const all = [...document.querySelectorAll<HTMLElement>(".criterion")];
      const here = all.findIndex((element) => element.contains(document.activeElement));
      if (event.key === "j" || event.key === "k") {
        const next = all[Math.min(all.length - 1, Math.max(0, here + (event.key === "j" ? 1 : -1)))];
        // The points come after the title, which is a button, too.
        (next?.querySelector<HTMLElement>("input:checked") ?? next?.querySelector<HTMLElement>("button"))?.focus();
        next?.scrollIntoView({ block: "nearest" });
      } else if (/^[0-9]$/.test(event.key) && here >= 0) {
        const chosen = all[here]!.querySelectorAll<HTMLInputElement>("input[type=radio]")[Number(event.key)];
        chosen?.focus(); // the arrow keys go on from here
        chosen?.click();
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [on]);
}

function Keys() {
  const [on, setOn] = useKept("roofline-keys", true);
  useKeys(on);
  return (
    <label className="row small soft" style={{ margin: 0, gap: "var(--s2)", flexWrap: "nowrap", fontWeight: "inherit" }}>
      <input type="checkbox" checked={on} onChange={(event) => setOn(event.target.checked)} />
      <span>
        Keys: <kbd>j</kbd> <kbd>k</kbd> next and previous criterion · <kbd>0</kbd>–<kbd>4</kbd> points
      </span>
    </label>
  );
}

function Notes({ report, onNote }: { report: Report; onNote: (text: string) => Promise<string | null> }) {
  const [text, setText] = useState("");
  const adding = useAction();
  const field = useRef<HTMLTextAreaElement>(null);
  useUnsaved(text.trim() !== "");
  return (
    <section className="card stack" aria-labelledby="notes-title" style={{ marginTop: "var(--s4)" }}>
      <h2 id="notes-title">Notes</h2>
      {report.notes.length === 0 && <p className="soft">No notes yet. The candidate reads them once you publish.</p>}
      {report.notes.map((note) => (
        <p key={note.id} className="written">
          {note.text} <span className="soft small"><bdi>{note.by}</bdi>, {when(note.at)}</span>
        </p>
      ))}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void adding.run(() => onNote(text)).then((ok) => {
            if (!ok) return;
            setText("");
            field.current?.focus(); // the button goes out of use with the text
          });
        }}
      >
        <label htmlFor="note">A note to the candidate</label>
        <textarea id="note" ref={field} value={text} maxLength={10000} onChange={(event) => setText(event.target.value)} />
        <button type="submit" className="compact" style={{ marginTop: "var(--s2)" }} disabled={!text.trim()} aria-disabled={adding.busy}>
          Add the note
        </button>
        {adding.problem && (
          <p className="banner bad small" role="alert" style={{ marginTop: "var(--s2)" }}>
            {adding.problem}
          </p>
        )}
      </form>
    </section>
  );
}

function Desk({ id }: { id: string }) {
  const { report, problem, act } = useReport(id);
  const doing = useAction();
  return (
    <div className="wrap page">
      {problem && (
        <p className="banner bad sticky" role="alert">
          {problem}
        </p>
      )}
      {doing.problem && (
        <div className="banner bad sticky row between" role="alert">
          {doing.problem}
          <button type="button" className="compact" onClick={doing.forget}>
            Close
          </button>
        </div>
      )}
      {!report && !problem && (
        <p className="soft">
          <span className="spinner" aria-hidden="true" /> Loading…
        </p>
      )}
      {report && (
        <>
          <div className="row between no-print" style={{ marginBottom: "var(--s4)" }}>
            <Keys />
            {report.can_review && <ReviewActions report={report} doing={doing} act={act} />}
          </div>
          {!report.can_review && <p className="banner warn">This is your own interview: a colleague reviews it.</p>}
          <Summary report={report} />
          {report.can_review && <Notes report={report} onNote={(text) => act(() => api.note(id, { text, question_id: null }))} />}
          {report.questions.map((question) => (
            <QuestionView
              key={question.id}
              question={question}
              controls={
                report.can_review
                  ? (criterion, score) => (
                      <OverrideForm
                        score={score}
                        criterion={criterion}
                        onSave={(chosen, reason) => act(() => api.override(id, { ...chosen, criterion_id: criterion.id, reason }))}
                      />
                    )
                  : undefined
              }
            >
              {report.can_review && question.score && question.score.to_mark.length > 0 && (
                <MarkForm
                  score={question.score}
                  onSave={(points, reason) => act(() => api.mark(id, { score_id: question.score!.id, points, reason }))}
                  onDone={() => document.getElementById(`q-${question.id}`)?.focus()} // the form is gone
                />
              )}
            </QuestionView>
          ))}
        </>
      )}
    </div>
  );
}

const host = document.getElementById("desk");
if (host?.dataset.interview)
  createRoot(host).render(
    <Page>
      <Desk id={host.dataset.interview} />
    </Page>,
  );
