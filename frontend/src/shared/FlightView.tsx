/** The flight record drawn: what each request did in each engine step, and the block pool. It comes from the metered engine, so it is true. */
import { useId, useMemo } from "react";
import { timeline, totals } from "./flight";
import type { Flight } from "./types";

const WIDTH = 720;
const LEFT = 44;
const LANE = 14;
const GAP = 3;
const MEMORY = 56;
const COLOURS = { prefill: "var(--info)", decode: "var(--good)", draft: "var(--warn)", lost: "var(--bad)" };

export function FlightView({ flight }: { flight: Flight }) {
  const title = useId();
  const drawn = useMemo(() => timeline(flight), [flight]);
  const sum = useMemo(() => totals(flight), [flight]);
  if (!flight.steps.length) return <p className="soft">The engine was never called.</p>;
  const lanesHeight = drawn.lanes.length * (LANE + GAP);
  const height = lanesHeight + MEMORY + 44;
  const x = (t: number): number => LEFT + (t / (drawn.end || 1)) * (WIDTH - LEFT - 8);
  const base = lanesHeight + 22 + MEMORY;
  const y = (blocks: number): number => base - (blocks / Math.max(1, flight.total_blocks)) * MEMORY;
  const area = flight.steps.map((step, i) => `L${x(drawn.from[i]!)},${y(step.blocks_used)}L${x(drawn.to[i]!)},${y(step.blocks_used)}`).join("");
  return (
    <figure style={{ margin: 0 }}>
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${height}`} role="img" aria-labelledby={title}>
        <title id={title}>
          {`${sum.steps} engine steps for ${drawn.lanes.length} requests; ${sum.tokens} tokens computed; at most ${sum.peak} of ${flight.total_blocks} blocks in use.`}
        </title>
        {drawn.lanes.map((lane, row) => {
          const top = 4 + row * (LANE + GAP);
          return (
            <g key={lane.id}>
              <text x={LEFT - 8} y={top + LANE - 3} textAnchor="end">{`r${lane.id}`}</text>
              <rect x={LEFT} y={top} width={WIDTH - LEFT - 8} height={LANE} fill="var(--sunken)" rx={2} />
              {lane.segments.map((segment) => {
                const left = x(drawn.from[segment.step]!);
                const width = Math.max(1, x(drawn.to[segment.step]!) - left - 0.6);
                const fill = segment.prefill ? COLOURS.prefill : COLOURS.decode;
                const drafts = segment.drafted ? (width * segment.drafted) / (segment.drafted + segment.decode) : 0;
                const kept = segment.drafted ? (drafts * segment.accepted) / segment.drafted : 0;
                return (
                  <g key={segment.step}>
                    <rect x={left} y={top} width={width} height={LANE} fill={fill} rx={1.5} />
                    {drafts > 0 && <rect x={left + width - drafts} y={top} width={kept} height={LANE} fill={COLOURS.draft} />}
                    {drafts > 0 && <rect x={left + width - drafts + kept} y={top} width={drafts - kept} height={LANE} fill={COLOURS.lost} opacity={0.75} />}
                  </g>
                );
              })}
              {lane.preempted.map((step) => (
                <path key={step} d={`M${x(drawn.to[step]!)},${top}v${LANE}`} stroke="var(--bad)" strokeWidth={2.5} />
              ))}
            </g>
          );
        })}
        <text x={LEFT - 8} y={base - MEMORY + 9} textAnchor="end">{flight.total_blocks}</text>
        <text x={LEFT - 8} y={base} textAnchor="end">0</text>
        <path d={`M${LEFT},${y(flight.total_blocks)}H${WIDTH - 8}`} stroke="var(--line)" strokeDasharray="3 4" />
        <path d={`M${LEFT},${base}${area}L${x(drawn.end)},${base}Z`} fill="var(--accent)" opacity={0.3} stroke="var(--accent)" />
        <text x={LEFT} y={base + 16}>
          blocks in use, over virtual time
        </text>
        <text x={WIDTH - 8} y={base + 16} textAnchor="end" className="num">
          {drawn.end.toLocaleString(undefined, { maximumFractionDigits: 1 })}
        </text>
      </svg>
      <figcaption className="row small soft" style={{ marginTop: "var(--s2)" }}>
        {(
          [
            ["prefill", COLOURS.prefill],
            ["decode", COLOURS.decode],
            ...(sum.drafted ? ([["draft accepted", COLOURS.draft], ["draft rejected", COLOURS.lost]] as const) : []),
          ] as const
        ).map(([name, colour]) => (
          <span key={name} className="row" style={{ gap: "0.35rem" }}>
            <span aria-hidden="true" style={{ width: 10, height: 10, borderRadius: 2, background: colour }} />
            {name}
          </span>
        ))}
        <span className="num">
          {sum.steps} steps · {sum.tokens} tokens · peak {sum.peak}/{flight.total_blocks} blocks
          {sum.drafted ? ` · ${sum.accepted} of ${sum.drafted} drafts accepted` : ""}
          {sum.hits ? ` · ${sum.hits} tokens from cache` : ""}
          {sum.preemptions ? ` · ${sum.preemptions} preemption${sum.preemptions === 1 ? "" : "s"}` : ""}
        </span>
        {flight.truncated && <span className="badge warn">first steps only</span>}
      </figcaption>
      <details className="small no-print" style={{ marginTop: "var(--s2)" }}>
        <summary>As a table</summary>
        <div className="scroll" tabIndex={0} style={{ maxHeight: "20rem" }}>
          <table>
            <thead>
              <tr>
                {["Step", "Time", "Requests", "Prefill", "Decode", "Drafted", "Accepted", "Blocks used", "Cache hits"].map((name) => (
                  <th key={name} scope="col" className="num">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {flight.steps.map((step, index) => {
                const add = (key: "prefill" | "decode" | "drafted" | "accepted"): number => step.requests.reduce((n, request) => n + request[key], 0);
                return (
                  <tr key={index} className="num">
                    {[index + 1, step.t.toFixed(1), step.requests.length, add("prefill"), add("decode"), add("drafted"), add("accepted"), step.blocks_used, step.hits].map((value, i) => (
                      <td key={i} className="num">
                        {value}
                      </td>
                    ))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
