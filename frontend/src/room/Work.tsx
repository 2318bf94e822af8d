/** One question: the prompt beside what the candidate writes. */
import { useCallback, useEffect, useReducer, useState, type KeyboardEvent } from "react";
import type * as Y from "yjs";
import { api, ApiError } from "../shared/api";
import { Drawing } from "../shared/Drawing";
import { Editor } from "../shared/Editor";
import { FlightView } from "../shared/FlightView";
import { Html } from "../shared/Html";
import { RunView } from "../shared/RunView";
import type { Flight, Interview, Question, Run } from "../shared/types";
import type { Answers } from "./answers";

interface Props {
  state: Interview;
  question: Question;
  answers: Answers;
  onRun: (run: Run) => void;
}

const UNSAVED = "Your last changes are not saved yet. Wait for “Saved”, then run again.";
const PAUSE = 400; // ms without a key before a field is read

/** How the scorer reads a field as it stands, so that nobody loses points to a comma or a unit that it does not know. */
function Reading({ id, text }: { id: string; text: string }) {
  const [said, setSaid] = useState<{ text: string; read?: string; problem?: string } | null>(null);
  useEffect(() => {
    let stale = false;
    const timer = text.trim()
      ? setTimeout(() => {
          api
            .quantity(text)
            .then((answer) => !stale && setSaid({ text, ...answer }))
            .catch(() => undefined); // a help, no more: the field is saved all the same
        }, PAUSE)
      : undefined;
    return () => {
      stale = true;
      clearTimeout(timer);
    };
  }, [text]);
  const shown = said?.text === text ? said : null;
  return (
    <p className={`reading ${shown?.problem ? "bad" : ""}`} id={id} aria-live="polite">
      {shown?.read && `Read as ${shown.read}`}
      {shown?.problem && `Can't be read: ${shown.problem}`}
    </p>
  );
}

/** Enter goes to the next field, as on a form on paper. */
function next(event: KeyboardEvent<HTMLInputElement>): void {
  if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
  const fields = [...(event.currentTarget.closest(".panel")?.querySelectorAll("input") ?? [])];
  fields[fields.indexOf(event.currentTarget) + 1]?.focus();
}

/** What is filled in: the numbers of an estimate, each with how it is read, or the short answers of a quick-fire round. */
function Fields({ question, map, readOnly }: { question: Question; map: Y.Map<string>; readOnly: boolean }) {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => {
    map.observe(redraw);
    return () => map.unobserve(redraw);
  }, [map]);
  const numbers = question.kind === "estimate";
  return (
    <section className="panel">
      <header>
        <h3>{numbers ? "Your numbers" : "Your answers"}</h3>
        {!numbers && <span className="small soft">A word or a number each. Enter goes on.</span>}
      </header>
      <div className="inside">
        {question.fields.map((field) => {
          const described = [field.hint && `hint-${field.id}`, numbers && `reading-${field.id}`].filter(Boolean).join(" ");
          return (
            <div className="field" key={field.id}>
              <label htmlFor={`field-${field.id}`}>{field.label}</label>
              <input
                id={`field-${field.id}`}
                value={map.get(field.id) ?? ""}
                readOnly={readOnly}
                autoComplete="off"
                spellCheck={false}
                maxLength={200}
                placeholder={numbers ? "number and unit" : undefined}
                aria-describedby={described || undefined}
                onChange={(event) => map.set(field.id, event.target.value)}
                onKeyDown={next}
              />
              {field.hint && (
                <p className="hint" id={`hint-${field.id}`}>
                  {field.hint}
                </p>
              )}
              {numbers && <Reading id={`reading-${field.id}`} text={map.get(field.id) ?? ""} />}
            </div>
          );
        })}
      </div>
    </section>
  );
}

function Whiteboard({ question, map, readOnly }: { question: Question; map: Y.Map<string>; readOnly: boolean }) {
  return (
    <section className="panel">
      <header>
        <h3>Your drawing</h3>
        <span className="small soft">Boxes with names, arrows between them. You can write it below instead, for the same points.</span>
      </header>
      <Drawing
        loading={<p className="inside soft">The board is loading. You can begin below.</p>}
        map={map}
        label={`Drawing for ${question.title}. What it shows can also be written in the text below it.`}
        readOnly={readOnly}
      />
    </section>
  );
}

const WRITTEN: Partial<Record<Question["kind"], string>> = {
  code: "Notes to the interviewer",
  estimate: "Working and assumptions",
  whiteboard: "In words, or instead of the drawing",
};

function RunFlight({ run }: { run: Run }) {
  const [flight, setFlight] = useState<Flight | null>(null);
  useEffect(() => {
    let stale = false;
    setFlight(null);
    if (run.state === "D")
      api
        .runDetail(run.id)
        .then((detail) => !stale && setFlight(detail.flight))
        .catch(() => undefined);
    return () => {
      stale = true;
    };
  }, [run.id, run.state]);
  if (!flight) return null;
  return (
    <details>
      <summary>What the engine did</summary>
      <div style={{ marginTop: "var(--s3)" }}>
        <FlightView flight={flight} />
      </div>
    </details>
  );
}

function Code({ state, question, answers, onRun }: Props) {
  const [problem, setProblem] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const { doc, undo } = answers.get(question);
  const latest = question.runs.at(-1);
  const busy = asking || (latest !== undefined && latest.state !== "D");
  const closed = !state.can_write;
  const settled = answers.state?.kind === "saved";
  useEffect(() => {
    if (settled) setProblem((old) => (old === UNSAVED ? null : old));
  }, [settled]);

  const start = useCallback(
    async (kind: "public" | "hidden") => {
      setProblem(null);
      setAsking(true);
      try {
        if (!(await answers.settle())) throw new ApiError(UNSAVED, "unsaved", 0, null);
        onRun(await api.run(state.id, question.id, kind));
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
      } finally {
        setAsking(false);
      }
    },
    [answers, onRun, question.id, state.id],
  );
  const press = (kind: "public" | "hidden") => (): boolean => {
    if (!busy && !closed) void start(kind);
    return true;
  };

  return (
    <>
      <section className="panel">
        <header>
          <h3>Your module</h3>
          <button type="button" className="compact" disabled={closed} aria-disabled={busy} onClick={press("public")} title="Ctrl+Enter">
            Run
          </button>
          <button type="button" className="compact primary" disabled={closed} aria-disabled={busy} onClick={press("hidden")} title="Ctrl+Shift+Enter">
            Submit
          </button>
        </header>
        <Editor
          text={doc.getText("code")}
          undo={undo.code}
          language="python"
          label={`Code for ${question.title}`}
          readOnly={closed}
          hint="Tab indents; Escape, then Tab, leaves the editor. Ctrl+Enter runs the public tests, Ctrl+Shift+Enter submits to the hidden ones."
          keys={[
            { key: "Mod-Shift-Enter", run: press("hidden") },
            { key: "Mod-Enter", run: press("public") },
          ]}
        />
      </section>
      {!state.sandbox.ok && <p className="banner warn">{state.sandbox.reason}</p>}
      {problem && (
        <p className="banner bad" role="alert">
          {problem}
        </p>
      )}
      <section className="panel" aria-label="Runs">
        <header>
          <h3>Runs</h3>
          <span className="small soft">The code as it stands at the end is what is graded.</span>
        </header>
        <div className="inside stack">
          {asking && (
            <p className="row soft" role="status">
              <span className="spinner" aria-hidden="true" /> Saving your code, then asking for a run…
            </p>
          )}
          {latest ? (
            <>
              <RunView
                run={latest}
                onAbort={() =>
                  void api
                    .abort(latest.id)
                    .then(onRun)
                    .catch((error: Error) => setProblem(error.message))
                }
              />
              <RunFlight run={latest} />
              {question.runs.length > 1 && (
                <details>
                  <summary>Earlier runs ({question.runs.length - 1})</summary>
                  <div className="stack" style={{ marginTop: "var(--s3)" }}>
                    {question.runs
                      .slice(0, -1)
                      .reverse()
                      .map((run) => (
                        <RunView key={run.id} run={run} />
                      ))}
                  </div>
                </details>
              )}
            </>
          ) : (
            <p className="soft">Run checks your code against the public tests and shows inputs and outputs. Submit checks it against the hidden ones.</p>
          )}
        </div>
      </section>
    </>
  );
}

export function Work(props: Props) {
  const { state, question, answers } = props;
  const { doc, undo } = answers.get(question);
  const code = question.kind === "code";
  return (
    <div className={`workspace ${code ? "" : question.kind === "whiteboard" ? "drawing" : "prose-only"}`}>
      <section className="panel" aria-label="Question" tabIndex={0}>
        <header>
          <h2>{question.title}</h2>
          <span className="badge num">{question.minutes} min</span>
        </header>
        <div className="inside stack">
          <Html html={question.prompt_html} />
          {question.lab && (
            <>
              <details open={code}>
                <summary>The lab: {question.lab.title}</summary>
                <div style={{ marginTop: "var(--s3)" }}>
                  <Html html={question.lab.brief_html} />
                </div>
              </details>
              <details>
                <summary>Public tests ({question.lab.public_tests.length})</summary>
                <ul className="small" style={{ marginTop: "var(--s2)" }}>
                  {question.lab.public_tests.map((test) => (
                    <li key={test.name}>
                      <code>{test.name}</code> {test.doc}
                    </li>
                  ))}
                </ul>
              </details>
            </>
          )}
          {code && !question.lab && <p className="banner warn">This question's lab is not installed here. Explain your solution in the notes.</p>}
        </div>
      </section>
      <div className="stack">
        {code && <Code {...props} />}
        {question.kind === "whiteboard" && <Whiteboard question={question} map={doc.getMap<string>("scene")} readOnly={!state.can_write} />}
        {question.fields.length > 0 && <Fields question={question} map={doc.getMap<string>("fields")} readOnly={!state.can_write} />}
        {question.kind !== "quickfire" && (
          <section className="panel">
            <header>
              <h3>{WRITTEN[question.kind] ?? "Your answer"}</h3>
            </header>
            {question.kind === "whiteboard" && (
              <p className="inside hint">
                One line for each arrow, such as <code>Router -&gt; Queue: by age</code>, and <code>GPU contains weights, KV pool</code> for what lies inside. Sentences count as well.
              </p>
            )}
            <Editor text={doc.getText("text")} undo={undo.text} language="prose" label={`Answer to ${question.title}`} readOnly={!state.can_write} />
          </section>
        )}
      </div>
    </div>
  );
}
