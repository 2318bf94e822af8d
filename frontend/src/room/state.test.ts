import { describe, expect, it } from "vitest";
import type { Interview, LogEvent, Run } from "../shared/types";
import { apply } from "./state";

const run = (state: Run["state"], extra: Partial<Run> = {}): Run =>
  ({ id: "r", question_id: "q", state, tests: [], ...extra }) as Run;
const start = { seq: 2, status: "running", can_write: true, questions: [{ id: "q", runs: [] as Run[] }, { id: "other", runs: [] as Run[] }] } as unknown as Interview;
const event = (seq: number, body: LogEvent["body"]): LogEvent => ({ seq, kind: "x", actor: null, body, at: "" });

describe("the room's state", () => {
  it("adds a run to its question and then replaces it", () => {
    const once = apply(start, [event(3, { run: run("QU") })]);
    expect(once.questions[0]!.runs).toEqual([run("QU")]);
    const twice = apply(once, [event(4, { run: run("D", { verdict: "AC" }) })]);
    expect(twice.questions[0]!.runs).toEqual([run("D", { verdict: "AC" })]);
    expect(twice.questions[1]!.runs).toEqual([]);
  });

  it("passes events by that it has seen", () => {
    const state = apply(start, [event(3, { state: { can_write: false } })]);
    expect(apply(state, [event(2, { state: { can_write: true } }), event(3, { state: { can_write: true } })])).toEqual(state);
  });

  it("leaves the old state as it was", () => {
    const before = structuredClone(start);
    apply(start, [event(3, { state: { status: "grading" }, run: run("QU") })]);
    expect(start).toEqual(before);
  });
});
