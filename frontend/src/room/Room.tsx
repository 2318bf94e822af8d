/** The room: state from the server, events by the doorbell, the clock, and one question at a time. */
import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "react";
import { api } from "../shared/api";
import type { Interview, Run } from "../shared/types";
import { Answers } from "./answers";
import { Away } from "./Away";
import { announcement, Countdown, digits, end, END_MS } from "./clock";
import { Doorbell, socketUrl } from "./doorbell";
import { Lobby } from "./Lobby";
import { Questions } from "./Questions";
import { apply, withAnswer } from "./state";
import { Work } from "./Work";

const RESYNC_MS = 60_000;
const RETRY_MS = 1000;
const UNSAVED = "Your last changes are not saved yet. Wait for “Saved”, then finish.";

/** The question that the address names, from 0: `#q2` is the second. A reload opens it again. */
const named = (hash: string): number => Math.max(1, Number(/^#q(\d+)$/.exec(hash)?.[1] ?? 1)) - 1;

function SavedState({ answers, online }: { answers: Answers; online: boolean }) {
  const state = answers.state;
  const kind = !online && state?.kind !== "refused" ? "offline" : (state?.kind ?? "saving");
  const words = {
    saved: state?.kind === "saved" ? `Saved ${state.at.toLocaleTimeString()}` : "",
    saving: "Saving…",
    offline: "Offline: kept on this device",
    refused: "Not saved",
  };
  return (
    <span className={`saved ${kind}`} data-testid="saved">
      {words[kind]}
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
        aria-disabled={busy}
        onClick={() => {
          if (busy) return;
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

/** What the server would not store while it still may, once the person does as it says. */
function Refusals({ refusals, asked }: { refusals: ReturnType<Answers["refusals"]>; asked: number }) {
  return refusals.map(({ detail, titles }) => (
    <p key={detail} className="banner bad wide" role="alert">
      {titles.length < asked && <strong>{titles.join(", ")}: </strong>}
      {detail}
    </p>
  ));
}

/** After the end: what stayed on this device and counts no more. */
function Unstored({ titles, report, onDelete }: { titles: string[]; report: string; onDelete: () => void }) {
  return (
    <div className="banner bad wide notice" role="alert">
      <p>
        <strong>Not everything that you wrote was saved before the interview ended, and what was not saved does not count:</strong> {titles.join(", ")}. It
        is still in this browser and is shown below with the rest. Copy what you want to keep.
      </p>
      <p className="row">
        <a className="button" href={report}>
          Open the report
        </a>
        <button type="button" className="danger" onClick={onDelete}>
          Delete it from this browser
        </button>
      </p>
    </div>
  );
}

export function Room({ id, discard }: { id: string; discard: string | undefined }) {
  const [state, setState] = useState<Interview | null>(null);
  /**
   * Why what the person asked for was not done, and of an interview in which status they asked it. It stays until they ask for the next thing, or the
   * interview is elsewhere: an answer that got lost says nothing about what was done.
   */
  const [problem, setProblem] = useState<{ text: string; status: Interview["status"] | undefined } | null>(null);
  /** Why the state can't be fetched. It goes when it can be again. */
  const [trouble, setTrouble] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  /** The last moment, in which what was typed is on its way. */
  const [locked, setLocked] = useState(false);
  const [online, setOnline] = useState(true);
  const [shown, setShown] = useState(0);
  const [chosen, setChosen] = useState(() => named(location.hash));
  const [spoken, setSpoken] = useState("");
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const answers = useMemo(() => new Answers(redraw), []);
  const countdown = useMemo(() => new Countdown(), []);
  const askClock = useRef(() => {});
  const current = useRef<Interview | null>(null);
  const loading = useRef<Promise<Interview | null> | null>(null);
  current.current = state;
  const heading = useRef<HTMLHeadingElement>(null);
  const startedHere = useRef(false);
  const report = `/interviews/${id}/report/`;

  const take = useCallback(
    (fresh: Interview, sentAt: number) => {
      if (fresh.status === "running") countdown.update(fresh.remaining_ms, sentAt);
      setState((old) => (old && old.seq > fresh.seq ? old : fresh));
      setTrouble(null);
    },
    [countdown],
  );
  const load = useCallback(async (): Promise<Interview | null> => {
    const sentAt = performance.now();
    try {
      const fresh = await api.state(id);
      take(fresh, sentAt);
      return fresh;
    } catch (error) {
      setTrouble(error instanceof Error ? error.message : String(error));
      return null;
    }
  }, [id, take]);
  const refresh = useCallback(() => (loading.current = load()), [load]);
  const catchUp = useCallback(
    async (seq: number): Promise<void> => {
      const known = current.current;
      // The first state is on its way as the line opens, and mostly has what the line tells of.
      if (!known && seq <= ((await loading.current)?.seq ?? -1)) return;
      if (!known || known.status === "ready") return void (await refresh());
      if (seq <= known.seq) return setTrouble(null);
      try {
        const { events } = await api.events(id, known.seq);
        setState((old) => old && apply(old, events));
        setTrouble(null);
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
    askClock.current = bell.askClock;
    const wake = (event: Event): void => {
      if (document.visibilityState === "hidden") return answers.flush();
      // A line from before the network changed may seem to stand.
      const anew = event.type === "online";
      bell.retry(anew);
      answers.retry(anew);
      bell.askClock();
      void catchUp(Number.MAX_SAFE_INTEGER);
    };
    // The browser knows at once what a silent line shows only in time.
    const drop = (): void => {
      bell.retry(true);
      answers.retry(true);
    };
    const leave = (): void => answers.flush();
    const resync = setInterval(bell.askClock, RESYNC_MS);
    document.addEventListener("visibilitychange", wake);
    window.addEventListener("focus", wake);
    window.addEventListener("online", wake);
    window.addEventListener("offline", drop);
    window.addEventListener("pagehide", leave);
    return () => {
      bell.close();
      clearInterval(resync);
      document.removeEventListener("visibilitychange", wake);
      window.removeEventListener("focus", wake);
      window.removeEventListener("online", wake);
      window.removeEventListener("offline", drop);
      window.removeEventListener("pagehide", leave);
    };
  }, [answers, catchUp, countdown, id, refresh]);

  const running = state?.status === "running";
  useEffect(() => {
    // The button that started the clock is gone, and with it the focus.
    if (running && startedHere.current) heading.current?.focus();
  }, [running]);
  useEffect(() => {
    if (!running) return;
    let before = countdown.remaining(performance.now());
    let ending = false;
    let stopped = false;
    const lock = (now: boolean): void => {
      if (now) answers.flush();
      setLocked(now);
    };
    const tick = (): void => {
      if (countdown.wake(performance.now(), Date.now())) askClock.current();
      const left = countdown.remaining(performance.now());
      const words = announcement(before, left);
      if (words) setSpoken(words);
      if (left <= END_MS && current.current?.can_write && !ending) {
        ending = true;
        answers.flush();
        void end(refresh, lock, () => stopped).finally(() => (ending = false));
      }
      before = left;
      setShown(left);
    };
    tick();
    const timer = setInterval(tick, 250);
    return () => {
      stopped = true;
      clearInterval(timer);
      setLocked(false);
    };
  }, [answers, countdown, refresh, running]);

  const questions = state?.questions;
  useEffect(() => {
    // Every answer, looked at or not: this device may hold words that the server lacks, and a question is opened without a line as well.
    for (const question of questions ?? []) answers.get(question);
  }, [answers, questions]);
  const over = state !== null && state.status !== "ready" && state.status !== "running";
  useEffect(() => {
    if (over) answers.end();
  }, [answers, over]);
  const settled = answers.state?.kind === "saved";
  useEffect(() => {
    if (settled) setProblem((old) => (old?.text === UNSAVED ? null : old));
  }, [settled]);
  useEffect(() => {
    if (state?.status !== "grading") return;
    // The doorbell rings when the scores are there; this asks in case it could not.
    const timer = setInterval(() => void refresh(), 10_000);
    return () => clearInterval(timer);
  }, [refresh, state?.status]);

  const judgeless = !over && state?.sandbox.ok === false && [...state.questions, ...state.outline].some(({ kind }) => kind === "code");
  useEffect(() => {
    if (!judgeless) return;
    // Nobody rings when there is a judge again.
    const timer = setInterval(() => void refresh(), 10_000);
    return () => clearInterval(timer);
  }, [judgeless, refresh]);

  const graded = state?.status === "scored" || state?.status === "published";
  useEffect(() => {
    if (!graded) return;
    let left = false;
    const leave = async (): Promise<void> => {
      await answers.load();
      while (!left && !(await answers.settle())) {
        // Refused for good: the page stays and shows it. Anything else may still come through.
        if (answers.state?.kind === "refused" && answers.state.final) return answers.forget();
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
      if (left) return;
      await answers.forget().catch(() => undefined);
      location.replace(report);
    };
    void leave();
    return () => {
      left = true;
    };
  }, [answers, graded, report]);

  const act = async (action: () => Promise<Interview>): Promise<void> => {
    setBusy(true);
    setProblem(null);
    const status = current.current?.status;
    const sentAt = performance.now();
    try {
      take(await action(), sentAt);
    } catch (error) {
      setProblem({ text: error instanceof Error ? error.message : String(error), status });
    } finally {
      setBusy(false);
    }
  };
  const finish = (): Promise<void> =>
    act(async () => {
      if (!(await answers.settle())) throw new Error(UNSAVED);
      return api.finish(id);
    });
  const onRun = useCallback((run: Run) => setState((old) => old && withAnswer(old, run)), []);
  const choose = (index: number): void => {
    setChosen(index);
    history.replaceState(null, "", `#q${index + 1}`);
  };

  if (!state)
    return (
      <div className="wrap page">
        {trouble ? (
          <p className="banner bad" role="alert">
            {trouble} <button type="button" onClick={() => void refresh()}>Try again</button>
          </p>
        ) : (
          <p className="soft">
            <span className="spinner" aria-hidden="true" /> Opening the room…
          </p>
        )}
      </div>
    );
  const problems = [...new Set([problem?.status === state.status ? problem.text : null, trouble])].filter((text) => text !== null);
  if (state.status === "ready")
    return (
      <>
        {problems.map((text) => (
          <p key={text} className="banner bad wrap notice" role="alert">
            {text}
          </p>
        ))}
        <Lobby
          state={state}
          online={online}
          busy={busy}
          discard={discard}
          onStart={() => {
            startedHere.current = true;
            void act(() => api.start(id));
          }}
        />
      </>
    );
  const open = locked ? { ...state, can_write: false } : state;
  const opened = Math.min(chosen, state.questions.length - 1);
  const question = state.questions[opened];
  const left = running ? shown : 0;
  const refusals = answers.refusals(state.questions);
  const unstored = over ? refusals.filter(({ final }) => final).flatMap(({ titles }) => titles) : [];
  return (
    <>
      <div className="bar">
        <div className="wide">
          <h1 ref={heading} tabIndex={-1}>
            {state.title}
          </h1>
          <SavedState answers={answers} online={online} />
          <span className={`clock ${left < 60_000 ? "bad" : left < 300_000 ? "warn" : ""}`} role="timer" aria-label="Time left">
            {digits(left)}
          </span>
          {running && open.can_write && <Finish state={state} answers={answers} busy={busy} onFinish={() => void finish()} />}
        </div>
        <Away className="wide" gone={open.can_write && (!online || answers.state?.kind === "offline")}>
          The line to the server is gone. What you write is kept in this browser and sent when the line is back; what arrives after the end does not count.
        </Away>
        {busy && running && (
          <p className="banner wide" role="status">
            <span className="spinner" aria-hidden="true" /> Saving your last changes, then finishing…
          </p>
        )}
        {problems.map((text) => (
          <p key={text} className="banner bad wide" role="alert">
            {text}
          </p>
        ))}
        {!unstored.length && <Refusals refusals={refusals} asked={state.questions.length} />}
      </div>
      <p className="hidden-text" role="status" aria-live="assertive">
        {spoken}
      </p>
      {unstored.length > 0 && (
        <Unstored titles={unstored} report={report} onDelete={() => void answers.forget(true).finally(() => location.replace(report))} />
      )}
      {over && !unstored.length && (
        <p className="banner wide notice" role="status">
          <span className="spinner" aria-hidden="true" />{" "}
          {graded
            ? "The report is ready. This page opens it as soon as it is certain that everything you wrote has arrived."
            : "The interview is over and your answers are being graded. This page opens the report when it is ready."}{" "}
          <a href={report}>See what is graded so far</a>
        </p>
      )}
      <div className="wide room">
        <Questions questions={state.questions} opened={opened} answers={answers} onChoose={choose} />
        {question && <Work key={question.id} state={open} question={question} answers={answers} onRun={onRun} />}
      </div>
    </>
  );
}
