import { describe, expect, it } from "vitest";
import { timeline, totals } from "./flight";
import type { Flight } from "./types";

const work = (id: number, prefill: number, decode: number, drafted = 0, accepted = 0) => ({ id, prefill, decode, drafted, accepted });
const flight: Flight = {
  total_blocks: 8,
  truncated: false,
  steps: [
    { t: 2, requests: [work(1, 9, 0)], blocks_used: 1, blocks_free: 7, hits: 0, preempted: [] },
    { t: 3, requests: [work(1, 0, 1, 3, 2), work(2, 5, 0)], blocks_used: 2, blocks_free: 6, hits: 16, preempted: [] },
    { t: 5, requests: [work(2, 0, 1)], blocks_used: 1, blocks_free: 7, hits: 0, preempted: [1] },
  ],
};

describe("the flight record", () => {
  it("has a lane for each request, with its steps and its preemptions", () => {
    const drawn = timeline(flight);
    expect(drawn.lanes.map((lane) => [lane.id, lane.segments.map((segment) => segment.step), lane.preempted])).toEqual([
      [1, [0, 1], [2]],
      [2, [1, 2], []],
    ]);
    expect(drawn.from).toEqual([0, 2, 3]);
    expect(drawn.to).toEqual([2, 3, 5]);
  });

  it("adds up", () => {
    expect(totals(flight)).toEqual({ steps: 3, tokens: 19, drafted: 3, accepted: 2, peak: 2, hits: 16, preemptions: 1 });
  });

  it("is empty without steps", () => {
    expect(timeline({ steps: [], total_blocks: 1, truncated: false }).lanes).toEqual([]);
  });
});
