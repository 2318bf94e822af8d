import { expect, test } from "vitest";
import * as Y from "yjs";
import { type BoardElement, drawables, fit, ordered, pull, push, words } from "./scene";

const box = (id: string, more: Partial<BoardElement> = {}): BoardElement => ({ id, type: "rectangle", version: 1, ...more });

test("elements come back as they were written, back to front", () => {
  const map = new Y.Doc().getMap<string>("scene");
  expect(push(map, new Map(), [box("b", { index: "a2" }), box("a", { index: "a1" })], "me")).toBe(true);
  expect(pull(map).map(({ id }) => id)).toEqual(["a", "b"]);
  expect(ordered([box("z"), box("y")]).map(({ id }) => id)).toEqual(["y", "z"]);
});

test("only what differs is written, in one transaction with its origin", () => {
  const doc = new Y.Doc();
  const map = doc.getMap<string>("scene");
  const known = new Map<string, string>();
  push(map, known, [box("a"), box("b")], "me");
  const seen: { origin: unknown; keys: string[] }[] = [];
  map.observe((event, transaction) => seen.push({ origin: transaction.origin, keys: [...event.keysChanged] as string[] }));
  expect(push(map, known, [box("a"), box("b")], "me")).toBe(false);
  expect(push(map, known, [box("a", { boundElements: [] }), box("b")], "me")).toBe(false); // tidied while it was loaded
  expect(push(map, known, [box("a", { version: 2 }), box("b", { isDeleted: true })], "me")).toBe(true);
  expect(seen).toEqual([{ origin: "me", keys: ["a", "b"] }]);
  expect(pull(map).map(({ id }) => id)).toEqual(["a"]);
});

test("two tabs that draw apart both keep what they drew", () => {
  const one = new Y.Doc();
  const two = new Y.Doc();
  push(one.getMap("scene"), new Map(), [box("a")], "one");
  push(two.getMap("scene"), new Map(), [box("b")], "two");
  Y.applyUpdate(one, Y.encodeStateAsUpdate(two));
  Y.applyUpdate(two, Y.encodeStateAsUpdate(one));
  for (const doc of [one, two]) expect(pull(doc.getMap("scene")).map(({ id }) => id)).toEqual(["a", "b"]);
});

test("a board that has not shown what another tab did writes its own changes and puts nothing back", () => {
  const map = new Y.Doc().getMap<string>("scene");
  const [here, there] = [new Map<string, string>(), new Map<string, string>()];
  const before = [box("moved"), box("erased"), box("mine"), box("both"), box("dropped")];
  for (const known of [here, there]) push(map, known, before, "me");
  const then = [box("moved", { version: 5 }), box("erased", { isDeleted: true }), box("both", { version: 3 }), box("dropped", { version: 2 }), box("theirs")];
  push(map, there, then, "other");
  const now = [box("moved"), box("erased"), box("mine", { version: 2 }), box("both", { version: 2 }), box("dropped", { isDeleted: true }), box("new")];
  expect(push(map, here, now, "me")).toBe(true);
  expect(pull(map).map(({ id, version }) => `${id} ${version}`)).toEqual(["both 2", "mine 2", "moved 5", "new 1", "theirs 1"]);
  expect(push(map, here, now, "me")).toBe(false);
});

test("an entry that is no element is passed over", () => {
  const map = new Y.Doc().getMap<string>("scene");
  for (const [id, json] of [["a", "{"], ["b", "null"], ["c", '{"id": "d", "type": "text"}'], ["e", '{"id": "e"}']] as const) map.set(id, json);
  expect(pull(map)).toEqual([]);
});

const page = { type: "iframe", customData: { generationData: { status: "done", html: "<h2>Sign in again</h2>" } }, link: "https://evil.example/" };

test("nothing but what the board's tools draw is shown, and nothing of it leads elsewhere", () => {
  const map = new Y.Doc().getMap<string>("scene");
  const stored = [
    box("page", page),
    ...["embeddable", "image", "magicframe", "selection", "zorp", "constructor", "__proto__"].map((type) => box(`a ${type}`, { type })),
    box("b", { link: "javascript:alert(1)", customData: page.customData, strokeColor: "#1e1e1e" }),
  ];
  for (const element of stored) map.set(element.id, JSON.stringify(element));
  expect(pull(map)).toEqual([box("b", { strokeColor: "#1e1e1e" })]);
  expect(drawables(stored)).toEqual(pull(map));
});

test("a drawing that can't be shown is read by its words", () => {
  const elements = [box("b"), box("t", { type: "text", text: "KV cache" }), box("f", { type: "frame", name: "Host" }), box("g", { type: "frame" })];
  expect(words(elements)).toBe("KV cache\nHost");
});

test("a field that is none of its kind is left out, and an element without what it needs is passed over", () => {
  const odd = {
    name: { a: 1 }, x: "left", y: null, width: 1e308, angle: NaN, groupIds: 5, boundElements: [null, 7], index: { a: 1 }, roundness: { type: "round" },
    strokeColor: 5, startBinding: { elementId: 3 }, points: [[0, 0], [1, "x"]], text: 5,
  };
  expect(drawables([{ ...box("f"), ...odd, type: "frame" }])).toEqual([box("f", { type: "frame" })]);
  const missing = ["arrow", "line", "freedraw", "text"].map((type) => ({ ...box(type), ...odd, type }));
  expect(drawables([...missing, null, 7, "rectangle", [], { type: "rectangle" }, { id: 7, type: "rectangle" }])).toEqual([]);
});

test("what was drawn comes back whole", () => {
  const base = {
    x: 1.5, y: -2, width: 3, height: 4, angle: 0, strokeColor: "#1e1e1e", backgroundColor: "transparent", fillStyle: "solid", strokeWidth: 2,
    strokeStyle: "solid", roughness: 1, opacity: 100, groupIds: ["g"], frameId: null, roundness: { type: 3 }, seed: 1, versionNonce: 2147483647,
    isDeleted: false, boundElements: [{ id: "t", type: "text" }], updated: 1763800000000, locked: false, index: "a0",
  };
  const bound = { elementId: "r", focus: 0.1, gap: 4, fixedPoint: null };
  const ends = { startBinding: bound, endBinding: null, startArrowhead: null, endArrowhead: "arrow" };
  const line = { points: [[0, 0], [3, 4]], lastCommittedPoint: null, ...ends, elbowed: false };
  const elements = [
    box("a", { ...base, type: "arrow", ...line }),
    box("d", { ...base, type: "freedraw", points: [[0, 0], [1, 1]], pressures: [0.5, 0.6], simulatePressure: false, lastCommittedPoint: [1, 1] }),
    box("f", { ...base, type: "frame", name: "Host" }),
    box("l", { ...base, type: "line", ...line, polygon: true }),
    box("r", base),
    box("t", {
      ...base, type: "text", text: "KV\ncache", originalText: "KV cache", fontSize: 20, fontFamily: 5, textAlign: "center", verticalAlign: "middle",
      containerId: "r", autoResize: true, lineHeight: 1.25,
    }),
  ];
  expect(drawables(elements)).toEqual(elements);
});

test("a drawing that is read lies in its board as a whole, in the middle, and no larger than drawn", () => {
  const board = { width: 1000, height: 450 };
  const seen = (bounds: [number, number, number, number]): number[] => {
    const { zoom, scrollX, scrollY } = fit(bounds, board);
    return [(bounds[0] + scrollX) * zoom, (bounds[1] + scrollY) * zoom, (bounds[2] + scrollX) * zoom, (bounds[3] + scrollY) * zoom].map(Math.round);
  };
  expect(seen([0, 0, 2000, 400])).toEqual([30, 131, 970, 319]); // wide
  expect(seen([-500, -100, -400, 1900])).toEqual([489, 14, 511, 437]); // high
  expect(seen([10, 10, 110, 60])).toEqual([450, 200, 550, 250]); // small
  expect(seen([5, 5, 5, 5])).toEqual([500, 225, 500, 225]); // a point
});
