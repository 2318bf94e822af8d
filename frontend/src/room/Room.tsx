/** The room: state from the server, events by the doorbell, the clock, and one question at a time. */
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { api } from "../shared/api";
import type { Interview, Run } from "../shared/types";
import { Answers } from "./answers";
import { announcement, Countdown, digits } from "./clock";
import { Doorbell, socketUrl } from "./doorbell";
import { Lobby } from "./Lobby";
import { apply, withRun } from "./state";
import { Work } from "./Work";

const RESYNC_MS = 60_000;

function SavedState({ answers, online }: { answers: Answers; online: boolean }) {
  const state = answers.state;
  const kind = !online && state?.kind !== "refused" ? "offline" : (state?.kind ?? "saving");
  const words =
    kind === "saved" && state?.kind === "saved"
      ? `Saved ${state.at.toLocaleTimeString()}`
      : kind === "refused" && state?.kind === "refused"
        ? state.detail
        : kind === "offline"
          ? "Offline: kept on this device"
          : "Saving…";
  return (
    <span className={`saved ${kind}`} data-testid="saved">
      {words}
    </span>
  );
}

function Finish({ state, answers, busy, onFinish }: { state: Interview; answers: Answers; busy: boolean; onFinish: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [blank, setBlank] = useState<string[]>([]);
  return (
    <>
      <button
        type="button"
        disabled={busy}
        onClick={() => {
          setBlank(state.questions.filter((question) => answers.isBlank(question)).map((question) => question.title));
          dialog.current?.showModal();
        }}
      >
        Finish
      </button>
      <dialog ref={dialog} aria-labelledby="finish-title">
        <h2 id="finish-title">Finish the interview?</h2>
        {blank.length > 0 ? (
          <div className="banner warn">
            <p>Nothing is written for:</p>
            <ul>
              {blank.map((title) => (
                <li key={title}>{title}</li>
              ))}
            </ul>
          </div>
        ) : (
          <p>Every question has an answer.</p>
        )}
        <p className="soft">After this nothing can be changed. What is saved now is graded.</p>
        <div className="row" style={{ justifyContent: "flex-end" }}>
          <button type="button" onClick={() => dialog.current?.close()}>
            Go on writing
          </button>
          <button
            type="button"
            className="primary"
            onClick={() => {
              dialog.current?.close();
              onFinish();
            }}
          >
            Finish now
          </button>
        </div>
      </dialog>
    </>
  );
}

export function Room({ id }: { id: string }) {
  const [state, setState] = useState<Interview | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [online, setOnline] = useState(true);
  const [shown, setShown] = useState(0);
  const [chosen, setChosen] = useState(0);
  const [spoken, setSpoken] = useState("");
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const answers = useMemo(() => new Answers(redraw), []);
  const countdown = useMemo(() => new Countdown(), []);
  const current = useRef<Interview | null>(null);
  current.current = state;

  const take = useCallback(
    (fresh: Interview, sentAt: number) => {
      if (fresh.status === "running") countdown.update(fresh.remaining_ms, sentAt);
      setState((old) => (old && old.seq > fresh.seq ? old : fresh));
      setProblem(null);
    },
    [countdown],
  );
  const refresh = useCallback(async () => {
    const sentAt = performance.now();
    try {
      take(await api.state(id), sentAt);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }, [id, take]);
  const catchUp = useCallback(
    async (seq: number) => {
      const known = current.current;
      if (!known || known.status === "ready") return refresh();
      if (seq <= known.seq) return;
      try {
        const { events } = await api.events(id, known.seq);
        setState((old) => old && apply(old, events));
        if (events.some((event) => event.body.state)) await refresh();
      } catch {
        await refresh();
      }
    },
    [id, refresh],
  );

  useEffect(() => {
    void refresh();
    const bell = new Doorbell(
      socketUrl(`/ws/interviews/${id}/`),
      (message, sentAt) => {
        if (message.type === "error") return;
        if ("remaining_ms" in message && message.status === "running") countdown.update(message.remaining_ms, sentAt);
        if ("status" in message && current.current && message.status !== current.current.status) void refresh();
        if ("seq" in message) void catchUp(message.seq);
      },
      setOnline,
    );
    const wake = (): void => {
      if (document.visibilityState === "hidden") return answers.flush();
      bell.retry();
      answers.retry();
      bell.askClock();
      void catchUp(Number.MAX_SAFE_INTEGER);
    };
    const leave = (): void => answers.flush();
    const resync = setInterval(bell.askClock, RESYNC_MS);
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("focus", wake);
    window.addEventListener("online", wake);
    window.addEventListener("pagehide", leave);
    return () => {
      bell.close();
      clearInterval(resync);
      document.removeEventListener("visibilitychange", wake);
      window.removeEventListener("focus", wake);
      window.removeEventListener("online", wake);
      window.removeEventListener("pagehide", leave);
    };
  }, [answers, catchUp, countdown, id, refresh]);

  const running = state?.status === "running";
  useEffect(() => {
    if (!running) return;
    let before = countdown.remaining(performance.now());
    const tick = (): void => {
      const left = countdown.remaining(performance.now());
      const words = announcement(before, left);
      if (words) setSpoken(words);
      if (before > 0 && left <= 0) void refresh();
      before = left;
      setShown(left);
    };
    tick();
    const timer = setInterval(tick, 250);
    return () => clearInterval(timer);
  }, [countdown, refresh, running]);

  const over = state !== null && state.status !== "ready" && state.status !== "running";
  useEffect(() => {
    if (state?.status === "scored" || state?.status === "published") {
      void answers.forget().finally(() => location.assign(`/interviews/${id}/report/`));
    }
    if (state?.status !== "grading") return;
    // The doorbell rings when the scores are there; this asks in case it could not.
    const timer = setInterval(() => void refresh(), 10_000);
    return () => clearInterval(timer);
  }, [answers, id, refresh, state?.status]);

  const act = async (action: () => Promise<Interview>): Promise<void> => {
    setBusy(true);
    const sentAt = performance.now();
    try {
      take(await action(), sentAt);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setBusy(false);
    }
  };
  const finish = (): Promise<void> =>
    act(async () => {
      if (!(await answers.settle())) throw new Error("Your last changes are not saved yet. Wait for “Saved”, then finish.");
      return api.finish(id);
    });
  const onRun = useCallback((run: Run) => setState((old) => old && withRun(old, run)), []);

  if (!state)
    return (
      <div className="wrap page">
        {problem ? (
          <p className="banner bad" role="alert">
            {problem} <button type="button" onClick={() => void refresh()}>Try again</button>
          </p>
        ) : (
          <p className="soft">
            <span className="spinner" aria-hidden="true" /> Opening the room…
          </p>
        )}
      </div>
    );
  const alert = problem && (
    <p className="banner bad wrap" role="alert">
      {problem}
    </p>
  );
  if (state.status === "ready")
    return (
      <>
        {alert}
        <Lobby state={state} busy={busy} onStart={() => void act(() => api.start(id))} />
      </>
    );
  const question = state.questions[Math.min(chosen, state.questions.length - 1)];
  const left = running ? shown : 0;
  return (
    <>
      <div className="bar">
        <div className="wide">
          <h1>{state.title}</h1>
          <SavedState answers={answers} online={online} />
          <span className={`clock ${left < 60_000 ? "bad" : left < 300_000 ? "warn" : ""}`} role="timer" aria-label="Time left">
            {digits(left)}
          </span>
          {running && state.can_write && <Finish state={state} answers={answers} busy={busy} onFinish={() => void finish()} />}
        </div>
      </div>
      <p className="hidden-text" role="status" aria-live="assertive">
        {spoken}
      </p>
      {alert}
      {over && (
        <p className="banner wide" role="status" style={{ marginTop: "var(--s4)" }}>
          <span className="spinner" aria-hidden="true" /> The interview is over and your answers are being graded. This page opens the report when it is
          ready. <a href={`/interviews/${id}/report/`}>See what is graded so far</a>
        </p>
      )}
      <div className="wide room">
        <nav aria-label="Questions">
          <ol className="questions">
            {state.questions.map((item, index) => {
              const last = item.runs.at(-1);
              return (
                <li key={item.id}>
                  <button type="button" aria-current={index === chosen} onClick={() => setChosen(index)}>
                    <span>
                      {index + 1}. {item.title}
                    </span>
                    <span className="meta">
                      <span>{item.kind}</span>
                      {last?.verdict ? <span className="mono">{last.verdict}</span> : <span>{answers.isBlank(item) ? "blank" : "begun"}</span>}
                    </span>
                  </button>
                </li>
              );
            })}
          </ol>
        </nav>
        {question && <Work key={question.id} state={state} question={question} answers={answers} onRun={onRun} />}
      </div>
    </>
  );
}
