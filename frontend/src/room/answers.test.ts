import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as Y from "yjs";
import type { Question } from "../shared/types";
import { Answers } from "./answers";
import { FakeServer } from "./fakeServer";

const cleared: string[] = [];
vi.mock("y-indexeddb", () => ({
  IndexeddbPersistence: class {
    whenSynced = Promise.resolve();
    constructor(readonly name: string) {}
    async clearData(): Promise<void> {
      cleared.push(this.name);
    }
  },
}));

const question = (id: string, extra: Partial<Question> = {}): Question => ({ answer_id: id, title: id.toUpperCase(), kind: "written", lab: null, ...extra }) as Question;
const [a, b] = [question("a"), question("b")];

describe("the answers", () => {
  let answers: Answers;
  const servers = new Map<string, FakeServer>();

  beforeEach(() => {
    vi.useFakeTimers();
    cleared.length = 0;
    vi.stubGlobal("location", { protocol: "https:", host: "x" });
    vi.stubGlobal(
      "WebSocket",
      class {
        constructor(url: string) {
          const server = new FakeServer(new Y.Doc());
          servers.set(url.split("/").at(-2)!, server);
          return server;
        }
      },
    );
    answers = new Answers(() => undefined);
    for (const item of [a, b]) answers.get(item);
    for (const server of servers.values()) server.accept();
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("of which one was refused are not all stored, and only the stored leave this device", async () => {
    expect(await answers.settle()).toBe(true);
    servers.get("b")!.refusing = { code: "deadline", detail: "The time is over." };
    answers.get(b).doc.getText("text").insert(0, "typed too late");
    expect(await answers.settle()).toBe(false);
    expect(answers.refusals([a, b])).toEqual([{ detail: "The time is over.", final: true, titles: ["B"] }]);
    await answers.load();
    await answers.forget();
    expect(cleared).toEqual(["roofline-a"]);
    await answers.forget(true);
    expect(cleared).toEqual(["roofline-a", "roofline-a", "roofline-b"]);
  });

  it("that a line cut off stay on this device", async () => {
    servers.get("b")!.close();
    answers.get(b).doc.getText("text").insert(0, "typed in a tunnel");
    const settled = answers.settle();
    await vi.advanceTimersByTimeAsync(6_000);
    expect(await settled).toBe(false);
    await answers.forget();
    expect(cleared).toEqual(["roofline-a"]);
  });

  it.each([
    ["nothing", {}, true],
    ["the starter", { code: "def f(): ...\n" }, true],
    ["the starter and a note", { code: "def f(): ...\n", text: "see above" }, false],
    ["code", { code: "def f(): return 1\n" }, false],
    ["blanks", { text: " \n" }, true],
  ])("with %s in them are blank or not", (_, content, blank) => {
    const coding = question("c", { kind: "code", lab: { starter: "def f(): ...\n" } as Question["lab"] });
    for (const [name, text] of Object.entries(content)) answers.get(coding).doc.getText(name).insert(0, text);
    expect(answers.isBlank(coding)).toBe(blank);
  });

  it("can be undone after another was looked at", () => {
    const { doc, undo } = answers.get(a);
    doc.getText("text").insert(0, "a sentence");
    answers.get(b).doc.getText("text").insert(0, "elsewhere");
    answers.get(a).undo.text.undo();
    expect(doc.getText("text").toString()).toBe("");
    expect(undo).toBe(answers.get(a).undo);
  });
});
