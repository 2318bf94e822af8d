import { describe, expect, it } from "vitest";
import { earnedBy, pieces } from "./highlight";
import type { Criterion } from "./types";

const criterion = (id: string, ...spans: [number, number][]): Criterion =>
  ({ id, evidence: spans.map(([start, end]) => ({ channel: "text", start, end, text: "" })) }) as unknown as Criterion;

describe("evidence in the answer", () => {
  it("cuts at every border and joins to the whole text", () => {
    const found = pieces("abcdef", [criterion("x", [1, 4]), criterion("y", [3, 5])], "text");
    expect(found).toEqual([
      { text: "a", criteria: [] },
      { text: "bc", criteria: ["x"] },
      { text: "d", criteria: ["x", "y"] },
      { text: "e", criteria: ["y"] },
      { text: "f", criteria: [] },
    ]);
  });

  it("counts code points as the server does", () => {
    const found = pieces("👩‍💻 ok", [criterion("x", [4, 6])], "text");
    expect(found.find((piece) => piece.criteria.length)?.text).toBe("ok");
  });

  it("passes spans by that lie outside", () => {
    expect(pieces("ab", [criterion("x", [1, 9])], "text")).toEqual([{ text: "ab", criteria: [] }]);
  });
});

describe("evidence in the fields", () => {
  it("is what a field holds as a whole", () => {
    const field = (id: string, channel: string, text: string): Criterion => ({ id, evidence: [{ channel, start: 0, end: text.length, text }] }) as unknown as Criterion;
    const criteria = [field("size", "fields", "320 KiB"), field("said", "text", "320 KiB"), field("fit", "fields", "58")];
    expect(earnedBy("any", "320 KiB", criteria).map(({ id }) => id)).toEqual(["size"]);
    expect(earnedBy("any", "320 KiB ", criteria)).toEqual([]);
  });

  it("is of the field that it names, whoever else holds the same", () => {
    const named = (id: string): Criterion => ({ id, evidence: [{ channel: "fields", start: 0, end: 1, text: "4", field: id }] }) as unknown as Criterion;
    const criteria = [named("sinks"), named("cards")];
    expect(earnedBy("sinks", "4", criteria).map(({ id }) => id)).toEqual(["sinks"]);
    expect(earnedBy("nodes", "4", criteria)).toEqual([]);
  });
});
