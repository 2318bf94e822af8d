/** Before the start: what comes, and the button that starts the clock. */
import type { Interview, Kind } from "../shared/types";
import { Away } from "./Away";

const KINDS: Record<Kind, string> = {
  written: "Written answer",
  design: "System design, in writing",
  debug: "Debugging, in writing",
  estimate: "Estimate with units",
  quickfire: "Quick-fire round",
  whiteboard: "Drawing, or the same in words",
  code: "Code against the engine",
};

const FULL = 0.75; // of the time; with less to do in it somebody would wonder what is missing

interface Props {
  state: Interview;
  online: boolean;
  busy: boolean;
  /** Where its candidate discards the interview. */
  discard: string | undefined;
  onStart: () => void;
}

export function Lobby({ state, online, busy, discard, onStart }: Props) {
  const minutes = state.duration_ms / 60_000;
  const planned = state.outline.reduce((sum, item) => sum + item.minutes, 0);
  return (
    <div className="wrap page stack">
      <h1>{state.title}</h1>
      <p className="soft prose">
        You have {minutes} minutes from the moment you press Start. The clock is the server's and does not stop when you leave; come back on any
        device and go on. Your text is saved as you type. When the time is over, what was saved last is graded: <a href="/marking/">how answers are marked</a>.
      </p>
      {planned < FULL * minutes && (
        <p className="banner">
          On these topics the bank has questions for {planned} of the {minutes} minutes. The clock gives you all of them; to be asked more, set up an interview on
          more topics.
        </p>
      )}
      <div className="card scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Question</th>
              <th scope="col">Kind</th>
              <th scope="col" className="num">
                Suggested minutes
              </th>
            </tr>
          </thead>
          <tbody>
            {state.outline.map((item) => (
              <tr key={item.position}>
                <td>{item.position + 1}</td>
                <td>{KINDS[item.kind]}</td>
                <td className="num">{item.minutes}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {!state.sandbox.ok && state.outline.some((item) => item.kind === "code") && <p className="banner warn">{state.sandbox.reason}</p>}
      <Away gone={!online}>There is no line to the server, and without one nothing that you write is saved. Don't start before it is there.</Away>
      <p className="row">
        <button type="button" className="primary" aria-disabled={busy} onClick={() => busy || onStart()}>
          {busy && <span className="spinner" aria-hidden="true" />}
          Start the clock
        </button>
        {discard && <a href={discard}>Discard this interview</a>}
      </p>
    </div>
  );
}
