/** The score under its roof: points rise to the level that they reach, on the scale of 28. */
const W = 720;
const H = 128;
const LEFT = 12;
const RIGHT = 708;
const FLOOR = 98;

function rising(bands: Record<string, number>): [string, number][] {
  return Object.entries(bands).sort((a, b) => a[1] - b[1]);
}

/** A level in words; `bands` are those that it is one of. Without bands there is no level. */
export function label(level: string, bands: Record<string, number>): string {
  if (level !== "below") return level || "no level";
  const lowest = rising(bands)[0];
  return lowest ? `below ${lowest[0]}` : "no level";
}

export function Bands({ scaled, bands, level, set }: { scaled: number | null; bands: Record<string, number>; level: string; set: string[] }) {
  const x = (points: number): number => LEFT + (points / 28) * (RIGHT - LEFT);
  const y = (points: number): number => FLOOR - Math.min(1, points / 25) * 62;
  const order = rising(bands);
  const words = scaled === null ? "No score yet." : `${scaled} of 28 points: ${label(level, bands)}. ${order.map(([name, least]) => `${name} from ${least}`).join(", ")}.`;
  const possible = set.length > 1 ? ` Possible levels: ${set.map((name) => label(name, bands)).join(", ")}.` : "";
  return (
    <svg className="chart bands" viewBox={`0 0 ${W} ${H}`} role="img" aria-label={words + possible}>
      {order.map(([name, least], i) => {
        const end = order[i + 1]?.[1] ?? 28;
        return (
          <g key={name}>
            <rect x={x(least)} y={14} width={x(end) - x(least)} height={FLOOR - 14} fill={set.includes(name) ? "var(--accent-wash)" : "var(--sunken)"} />
            <path d={`M${x(least)},14V${FLOOR}`} stroke="var(--line)" />
            <text x={x(least) + 6} y={30} className={name === level ? "strong" : ""}>
              {name} · {least}
            </text>
          </g>
        );
      })}
      <path d={`M${x(0)},${y(0)}L${x(25)},${y(25)}H${x(28)}`} fill="none" stroke="var(--soft)" strokeWidth={2} />
      <path d={`M${LEFT},${FLOOR}H${RIGHT}`} stroke="var(--line)" />
      {scaled !== null && (
        <>
          <path d={`M${x(scaled)},${FLOOR}V${y(scaled)}`} stroke="var(--accent)" strokeWidth={2} />
          <circle cx={x(scaled)} cy={y(scaled)} r={7} fill="var(--accent)" />
          <text x={Math.min(Math.max(x(scaled), 60), W - 60)} y={FLOOR + 22} textAnchor="middle" className="strong">
            {scaled} of 28
          </text>
        </>
      )}
    </svg>
  );
}
