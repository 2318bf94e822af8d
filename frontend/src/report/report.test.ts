import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import type { Criterion, Report, ReportQuestion, Score, Status } from "../shared/types";
import { label } from "./Bands";
import { QuestionView } from "./QuestionView";
import { Summary } from "./Summary";

const criterion: Criterion = { id: "limits", title: "Limits", points: 2, auto_points: 2, max: 4, levels: [], evidence: [], reason: "", missed: [], confidence: null, unsure: [], override: null };

function markup(id: string, score: Partial<Score> = {}, changes: Partial<ReportQuestion> = {}, form?: string): string {
  const whole = { state: "scored", total: 2, max: 4, level: "below", bands: { L6: 3 }, reason: "", before: null, rescore_failed: null, version: { question: "", rubric: "" }, criteria: [criterion], ...score };
  const answer = { text: "", code: "", fields: {}, scene: "" };
  const question = { id, position: 0, title: "A question", prompt_html: "", model_answer_html: "", withheld: false, answer, field_labels: {}, run: null, score: whole, ...changes };
  return renderToStaticMarkup(createElement(QuestionView, { question: question as unknown as ReportQuestion, children: form }));
}

describe("points", () => {
  it("have no end of digits, and a meter no end of cells", () => {
    const drafted = { ...criterion, points: (28 * 12) / 23, auto_points: (28 * 12) / 23, max: 28 };
    const html = markup("a", { total: drafted.points, max: 28, criteria: [drafted] });
    expect(html).toContain("14.6");
    expect(html).not.toContain("14.60");
    const meter = /class="meter"[^>]*>(.*?)<\/span><\/span>/.exec(html)![1]! + "</span>";
    expect(meter.match(/<span/g)).toHaveLength(7);
    expect(meter.match(/class="on"/g)).toHaveLength(3);
    expect(meter.match(/class="half"/g)).toHaveLength(1);
    expect(markup("b")).toContain("2<span");
  });
});

describe("a level in words", () => {
  it("is below the first band of its own rubric", () => {
    expect(label("below", { L5: 14, L6: 20 })).toBe("below L5");
    expect(label("below", { L7: 25, L6: 20 })).toBe("below L6");
    expect(label("L6", { L6: 20 })).toBe("L6");
  });

  it("is none where there are no bands", () => {
    expect(label("", { L5: 14 })).toBe("no level");
    expect(label("below", {})).toBe("no level");
  });
});

describe("the head of the report", () => {
  it("calls reviewed only what a person stands behind", () => {
    const head = (status: Status, publish_again: boolean): string => {
      const interview = { id: "i", title: "Serving", candidate: "Ada", finished_at: null, status };
      const report = { interview, publish_again, scaled_28: null, bands: {}, level: "", level_set: [], why: "", provisional: true, questions: [] } as unknown as Report;
      return renderToStaticMarkup(createElement(Summary, { report }));
    };
    expect(head("scored", false)).toContain(">not yet reviewed by a person<");
    expect(head("published", false)).toContain(">reviewed<");
    expect(head("published", true)).toContain(">scored again since the review<");
    expect(head("published", true)).not.toContain(">reviewed<");
  });
});

describe("the report without eyes", () => {
  it("says what each meter of the table shows, and tells when the points change", () => {
    const interview = { id: "i", title: "Serving", candidate: "Ada", finished_at: null, status: "scored" };
    const score = { state: "scored", total: 2, max: 4, level: "L5", bands: { L5: 2 }, criteria: [criterion] };
    const questions = [{ id: "q1", title: "A question", kind: "written", score }];
    const report = { interview, scaled_28: 14, bands: {}, level: "L5", level_set: [], why: "2 of 4 points.", questions } as unknown as Report;
    const shown = renderToStaticMarkup(createElement(Summary, { report }));
    expect(shown).toMatch(/<span role="img"[^>]* aria-label="Limits: 2 of 4"/);
    expect(shown).toContain('<p role="status">2 of 4 points.</p>');
  });

  it("reads the words that a criterion marks in the answer", () => {
    const evidence = [{ channel: "text" as const, start: 0, end: 5, text: "paged" }, { channel: "scene" as const, start: 0, end: 0, text: "a box" }];
    expect(markup("q1", { criteria: [{ ...criterion, evidence }] })).toContain("Words that count: “paged”</p>");
    expect(markup("q1")).not.toContain("Words that count");
  });
});

describe("a question of the report", () => {
  it("gives the criteria ids of its own: questions share theirs", () => {
    expect(markup("q1")).toContain('id="criterion-q1-limits"');
    expect(markup("q2")).toContain('id="criterion-q2-limits"');
  });

  it("names its regions after itself: each question has the same ones", () => {
    const names = [...markup("q1").matchAll(/aria-label="([^"]+)"/g)].map((match) => match[1]);
    expect(names).toEqual(["Answer to A question", "Criteria of A question"]);
  });

  it("says that a newer score is on its way, beside the one that stands", () => {
    const shown = markup("q1", {}, { rescoring: true });
    expect(shown).toContain("being scored again");
    expect(shown).toContain("2 of 4");
    expect(markup("q1")).not.toContain("being scored again");
  });

  it("lists fields in the order in which they were asked, and leaves out what is blank", () => {
    const answer = { text: "", code: "", fields: { total: "3 GB", blank: " ", each: "1 GB" }, scene: "" };
    const shown = markup("q1", {}, { answer, field_labels: { each: "Of each", blank: "Blank", total: "In all" } });
    expect([...shown.matchAll(/<th scope="row">([^<]+)/g)].map((match) => match[1])).toEqual(["Of each", "In all"]);
  });

  it("marks a field that earned points, as it does words", () => {
    const answer = { text: "", code: "", fields: { each: "1 GB", total: "3 GB" }, scene: "" };
    const evidence = [{ channel: "fields" as const, start: 0, end: 4, text: "3 GB" }];
    const shown = markup("q1", { criteria: [{ ...criterion, evidence }] }, { answer, field_labels: { each: "Of each", total: "In all" } });
    expect([...shown.matchAll(/<mark[^>]*title="([^"]*)"[^>]*>([^<]+)/g)].map(([, title, words]) => [title, words])).toEqual([["Limits", "3 GB"]]);
  });

  it("says of a drawing alone that nothing was written beside it", () => {
    const scene = JSON.stringify({ elements: [{ id: "a", type: "rectangle" }] });
    expect(markup("q1", {}, { answer: { text: "", code: "", fields: {}, scene } })).toContain("Nothing was written beside the drawing.");
    expect(markup("q1")).toContain("Nothing was written.");
  });

  it("has the form for points beside the answer, where there are none", () => {
    const beside = (criteria: Criterion[], form?: string): string =>
      markup("q1", { criteria }, { model_answer_html: "<p>As it could be.</p>" }, form).split("A model answer")[0]!.split("Criteria of")[1]!;
    expect(beside([], "The form.")).toContain("The form.");
    expect(beside([], "The form.")).not.toContain("There are no points to show.");
    expect(beside([])).toContain("There are no points to show.");
    expect(beside([criterion], "The form.")).not.toContain("The form.");
  });

  it("names its level by its own bands", () => {
    expect(markup("q1")).toContain("below L6");
  });

  it("says that a rescore failed and which score stands", () => {
    const words = "Scoring it again failed, so this score stands: ";
    expect(markup("q1", { rescore_failed: "The judge was away." })).toContain(`${words}The judge was away.`);
    expect(markup("q1")).not.toContain(words);
  });

  it("tells points that a person confirmed from points that they changed", () => {
    const override = (points: number): Partial<Score> => ({ criteria: [{ ...criterion, points, override: { id: 1, points, reason: "I looked.", by: "Ines", at: "" } }] });
    expect(markup("q1", override(2))).toContain("confirmed 2: I looked.");
    expect(markup("q1", override(3))).toContain("changed 2 to 3: I looked.");
    expect(markup("q1", { ...override(2), scorer: "a person" })).toContain("gave 2: I looked.");
  });

  it("says how sure the scorer is of its own points alone", () => {
    const doubted = { ...criterion, reason: "1 of 2 claims stated.", confidence: 0.4 };
    const override = { id: 1, points: 3, reason: "I looked.", by: "Ines", at: "" };
    expect(markup("q1", { settled: false, criteria: [doubted] })).toContain("40 % sure");
    expect(markup("q1", { settled: false, criteria: [{ ...doubted, points: 3, override }] })).not.toContain("% sure");
  });

  it("says what a person changed also where the reason is withheld", () => {
    const override = { id: 1, points: 3, reason: "", by: "Ines", at: "" };
    expect(markup("q1", { criteria: [{ ...criterion, points: 3, override }] })).toContain("changed 2 to 3</p>");
  });
});
