/** One run: what waits, what runs, what came out. */
import type { Run } from "./types";
import { Verdict } from "./Verdict";

function headline(run: Run): string {
  if (run.state === "QU") {
    const ahead = run.position ? `${run.position} ahead of you` : "next in line";
    return `Waiting: ${ahead}${run.expected_wait_s ? `, about ${Math.ceil(run.expected_wait_s)} s` : ""}.`;
  }
  if (run.state === "PR") return "Preparing a jail…";
  if (run.state === "GR") return `Test ${Math.min(run.tests.length + 1, run.planned)} of ${run.planned}…`;
  return `${run.score} of ${run.max_score} points, ${run.tests.filter((test) => test.verdict === "AC").length} of ${run.planned || run.tests.length} tests passed.`;
}

/** How long a test took. Of a hidden one it is told to a power of two only. */
function took(run: Run, seconds: number): string {
  return run.kind === "hidden" && seconds > 0 ? `≤ ${seconds} s` : `${seconds.toFixed(2)} s`;
}

export function RunView({ run, onAbort }: { run: Run; onAbort?: () => void }) {
  const busy = run.state !== "D";
  const share = run.planned ? run.tests.length / run.planned : 0;
  return (
    <section aria-label={run.kind === "public" ? "Public tests" : "Hidden tests"}>
      <div className="row between" style={{ marginBottom: "var(--s2)" }}>
        <p className="row" style={{ margin: 0 }} role="status">
          <strong>{run.kind === "public" ? "Public tests" : "Submission"}</strong>
          {run.verdict && <Verdict code={run.verdict} long />}
          {busy && <span className="spinner" aria-hidden="true" />}
          <span className="soft small num">{headline(run)}</span>
        </p>
        {busy && onAbort && (
          <button type="button" className="compact danger" onClick={onAbort}>
            Abort
          </button>
        )}
      </div>
      {busy && (
        <div className="progress" role="progressbar" aria-label="Tests done" aria-valuemin={0} aria-valuemax={run.planned || 1} aria-valuenow={run.tests.length}>
          <span style={{ width: `${share * 100}%` }} />
        </div>
      )}
      {run.message && <p className={`banner ${run.verdict === "AC" ? "" : "warn"}`} style={{ whiteSpace: "pre-wrap" }}>{run.message}</p>}
      <ul className="tests">
        {run.tests.map((test, index) => (
          <li key={index}>
            <Verdict code={test.verdict} />
            <span style={{ overflowWrap: "anywhere" }}>
              {test.name.replaceAll("_", " ")} <span className="soft small">{test.group}</span>
            </span>
            <span className="soft small num took">
              {test.points}/{test.max_points} · {took(run, test.seconds)}
            </span>
            {test.message && <pre tabIndex={0}>{test.message}</pre>}
            {test.stdout && (
              <pre tabIndex={0} aria-label="Output of your code">
                {test.stdout}
              </pre>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
