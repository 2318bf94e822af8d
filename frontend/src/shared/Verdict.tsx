/** A verdict code with its meaning and colour. */

export const MEANING: Record<string, string> = {
  AC: "accepted",
  PA: "partly accepted",
  WA: "wrong answer",
  TLE: "too slow",
  ILE: "idle too long",
  MLE: "out of memory",
  GMLE: "out of GPU memory",
  OLE: "too much output",
  RTE: "runtime error",
  CE: "does not load",
  SV: "forbidden operation",
  SK: "skipped",
  AB: "aborted",
  JE: "judge error, not your fault",
};

export function tone(verdict: string): string {
  if (verdict === "AC") return "good";
  if (verdict === "PA" || verdict === "SK" || verdict === "AB" || verdict === "JE") return "warn";
  return "bad";
}

export function Verdict({ code, long = false }: { code: string; long?: boolean }) {
  return (
    <span className={`badge ${tone(code)}`} title={MEANING[code] ?? code}>
      <span className="mono">{code}</span>
      {long ? MEANING[code] : <span className="hidden-text">{MEANING[code]}</span>}
    </span>
  );
}
