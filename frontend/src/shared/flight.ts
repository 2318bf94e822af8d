/** The flight record as rectangles: one lane per request, one column per engine step, the blocks in use below. Pure. */
import type { Flight } from "./types";

export interface Segment {
  step: number;
  prefill: number;
  decode: number;
  drafted: number;
  accepted: number;
}

export interface Lane {
  id: number;
  segments: Segment[];
  preempted: number[];
}

export interface Timeline {
  lanes: Lane[];
  /** Virtual time at which each step began and ended. */
  from: number[];
  to: number[];
  end: number;
}

export function timeline(flight: Flight): Timeline {
  const lanes = new Map<number, Lane>();
  const lane = (id: number): Lane => {
    let found = lanes.get(id);
    if (!found) lanes.set(id, (found = { id, segments: [], preempted: [] }));
    return found;
  };
  const from: number[] = [];
  const to: number[] = [];
  let clock = 0;
  flight.steps.forEach((step, index) => {
    from.push(clock);
    clock = Math.max(step.t, clock);
    to.push(clock);
    for (const { id, ...work } of step.requests) lane(id).segments.push({ step: index, ...work });
    for (const id of step.preempted) lane(id).preempted.push(index);
  });
  return { lanes: [...lanes.values()].sort((a, b) => a.id - b.id), from, to, end: clock };
}

export function totals(flight: Flight): { steps: number; tokens: number; drafted: number; accepted: number; peak: number; hits: number; preemptions: number } {
  const sum = { steps: flight.steps.length, tokens: 0, drafted: 0, accepted: 0, peak: 0, hits: 0, preemptions: 0 };
  for (const step of flight.steps) {
    for (const request of step.requests) {
      sum.tokens += request.prefill + request.decode + request.drafted;
      sum.drafted += request.drafted;
      sum.accepted += request.accepted;
    }
    sum.peak = Math.max(sum.peak, step.blocks_used);
    sum.hits += step.hits;
    sum.preemptions += step.preempted.length;
  }
  return sum;
}
