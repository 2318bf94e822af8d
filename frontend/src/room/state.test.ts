import { describe, expect, it } from "vitest";
import type { Interview, LogEvent, Run } from "../shared/types";
import { apply, withAnswer } from "./state";

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

  it.each([
    ["QU", 0, "D", 3],
    ["QU", 0, "GR", 0],
    ["GR", 1, "GR", 2],
    ["GR", 2, "QU", 0],
    ["QU", 0, "QU", 0],
    ["PR", 0, "D", 3],
  ] as const)("of an answer that says %s with %i tests and events that say %s with %i it takes the later", (answered, few, told, many) => {
    const tests = (n: number): Run["tests"] => Array.from({ length: n }, () => ({}) as Run["tests"][number]);
    const answer = run(answered, { tests: tests(few) });
    const event3 = run(told, { tests: tests(many) });
    const order = ["QU", "PR", "GR", "D"];
    const later = order.indexOf(answered) > order.indexOf(told) || few > many ? answer : event3;
    const state = apply(start, [event(3, { run: event3 })]);
    expect(withAnswer(state, answer).questions[0]!.runs).toEqual([later]);
    expect(withAnswer(start, answer).questions[0]!.runs).toEqual([answer]);
  });

  it("takes from the log that a run began anew, as when its worker died", () => {
    const state = apply(start, [event(3, { run: run("GR") }), event(4, { run: run("PR") })]);
    expect(state.questions[0]!.runs).toEqual([run("PR")]);
  });

  it("leaves the old state as it was", () => {
    const before = structuredClone(start);
    apply(start, [event(3, { state: { status: "grading" }, run: run("QU") })]);
    expect(start).toEqual(before);
  });
});
