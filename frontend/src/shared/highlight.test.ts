import { describe, expect, it } from "vitest";
import { pieces } from "./highlight";
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
