import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import type { Criterion, Report, Score, Status } from "../shared/types";
import { MarkForm } from "./MarkForm";
import { choice } from "./OverrideForm";
import { ReviewActions } from "./ReviewActions";

interface State {
  status?: Status;
  rescoring?: boolean;
  busy?: boolean;
}

function actions({ status = "scored", rescoring = false, busy = false }: State): string {
  const report = { interview: { id: "i", status, candidate: "Ada" }, publish_again: true, questions: [{ run: null, score: null, rescoring }] } as unknown as Report;
  const doing = { busy, problem: null, run: async () => true, forget: () => undefined };
  return renderToStaticMarkup(createElement(ReviewActions, { report, doing, act: async () => null })).split("<dialog")[0]!;
}

/** The buttons of a review and whether they can be used. */
function buttons(state: State): Record<string, boolean> {
  const html = actions(state);
  return Object.fromEntries([...html.matchAll(/<button([^>]*)>([^<]+)/g)].map(([, attributes, name]) => [name, !attributes!.includes('aria-disabled="true"')]));
}

describe("what is done with a review", () => {
  it("can be scored again or published, unless that is under way", () => {
    expect(buttons({})).toEqual({ "Score again": true, Publish: true });
    expect(buttons({ status: "published" })).toEqual({ "Score again": true, "Publish again": true });
    expect(buttons({ rescoring: true })).toEqual({ "Score again": false, Publish: false });
    expect(buttons({ busy: true })).toEqual({ "Score again": false, Publish: false });
  });

  it("is told where it is heard", () => {
    const told = (state: State): string => actions(state).match(/<span role="status"[^>]*>(.*?)<button/)![1]!.replace(/<[^>]+>/g, "").trim();
    expect(told({})).toBe("");
    expect(told({ status: "published" })).toBe("published");
    expect(told({ rescoring: true })).toBe("being scored again");
  });

  it("is nothing while it is graded", () => {
    expect(buttons({ status: "grading" })).toEqual({});
  });
});

describe("points that were chosen", () => {
  it("are for the score and upon the change that were shown then", () => {
    const score = { id: "s" } as Score;
    const criterion = { override: null } as Criterion;
    expect(choice(2, score, criterion)).toEqual({ points: 2, score_id: "s", after: 0 });
    expect(choice(2, score, { ...criterion, override: { id: 7, points: 1, reason: "", by: "Bea", at: "" } })).toEqual({ points: 2, score_id: "s", after: 7 });
  });
});

describe("points by hand", () => {
  it("are asked for every criterion, and given only when there is one for each", () => {
    const to_mark = ["a", "b"].map((id) => ({ id, title: `Criterion ${id}`, max: 4, levels: [] }));
    const html = renderToStaticMarkup(createElement(MarkForm, { score: { id: "s", to_mark } as unknown as Score, onSave: async () => null, onDone: () => undefined }));
    expect([...html.matchAll(/<legend>([^<]+)/g)].map((match) => match[1])).toEqual(["Criterion a", "Criterion b"]);
    expect(html.match(/type="radio"/g)).toHaveLength(10);
    expect(html).toContain("2 of 2 still to choose");
    expect(html).toMatch(/<button[^>]*disabled=""[^>]*>Give these points/);
  });
});
