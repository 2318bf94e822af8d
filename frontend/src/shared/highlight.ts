/** Evidence offsets count code points; JavaScript counts UTF-16 units. Pure. */
import type { Channel, Criterion } from "./types";

export interface Piece {
  text: string;
  criteria: string[];
}

/** The criteria that a field earned points for. Older evidence says what a field holds, and not which one it is: who typed the same twice said it twice. */
export function earnedBy(field: string, value: string, criteria: Criterion[]): Criterion[] {
  return criteria.filter((criterion) => criterion.evidence.some((span) => span.channel === "fields" && span.text === value && (!span.field || span.field === field)));
}

/** The text cut at the borders of all evidence, each piece with the criteria that it earned points for. */
export function pieces(text: string, criteria: Criterion[], channel: Channel): Piece[] {
  const points = Array.from(text);
  const spans = criteria.flatMap((criterion) =>
    criterion.evidence.filter((span) => span.channel === channel && span.start < span.end && span.end <= points.length).map((span) => ({ id: criterion.id, start: span.start, end: span.end })),
  );
  const cuts = [...new Set([0, points.length, ...spans.flatMap((span) => [span.start, span.end])])].sort((a, b) => a - b);
  const found: Piece[] = [];
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [start, end] = [cuts[i]!, cuts[i + 1]!];
    const ids = new Set(spans.filter((span) => span.start <= start && span.end >= end).map((span) => span.id));
    found.push({ text: points.slice(start, end).join(""), criteria: [...ids] });
  }
  return found;
}
