import { expect, test } from "vitest";
import * as Y from "yjs";
import { type BoardElement, ordered, pull, push } from "./scene";

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
