/** A whiteboard in the answer's document: one entry for each element, so that two tabs merge by element and not by drawing. */
import type * as Y from "yjs";

export interface BoardElement {
  id: string;
  type: string;
  version?: number;
  index?: string | null;
  isDeleted?: boolean;
  [key: string]: unknown;
}

/** Elements from back to front, as their fractional indices say. */
export function ordered(elements: BoardElement[]): BoardElement[] {
  const key = (element: BoardElement): string => element.index ?? "";
  return [...elements].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id < b.id ? -1 : 1));
}

type Test = (value: unknown) => boolean;
const text: Test = (value) => typeof value === "string";
const flag: Test = (value) => typeof value === "boolean";
const number: Test = (value) => Number.isFinite(value);
const size: Test = (value) => number(value) && Math.abs(value as number) <= 1e6; // px; beyond it sums would soon be no numbers
const maybe = (test: Test): Test => (value) => value === null || test(value);
const list = (test: Test): Test => (value) => Array.isArray(value) && value.every(test);
const fields =
  (tests: Record<string, Test>): Test =>
  (value) =>
    typeof value === "object" && value !== null && Object.entries(tests).every(([key, test]) => test((value as Record<string, unknown>)[key]));
const optional = (test: Test): Test => (value) => value === undefined || test(value);
const point: Test = (value) => list(size)(value) && (value as unknown[]).length >= 2;
const binding = maybe(fields({ elementId: text, focus: optional(size), gap: optional(size), fixedPoint: optional(maybe(point)) }));

/** What the tools of the room's board draw, each with the fields without which it is nothing. */
const NEEDS: Record<string, readonly string[]> = {
  rectangle: [], ellipse: [], diamond: [], frame: [], arrow: ["points"], line: ["points"], freedraw: ["points", "pressures"], text: ["text"],
};

/** What Excalidraw reads of them. Neither `link` nor `customData`, where it keeps pages to show: a candidate's drawing opens nothing for a reviewer. */
const FIELDS: Record<string, Test> = {
  id: text, type: text, x: size, y: size, width: size, height: size, angle: size, index: maybe(text), version: number, versionNonce: number, updated: number,
  seed: number, isDeleted: flag, locked: flag, strokeColor: text, backgroundColor: text, fillStyle: text, strokeStyle: text, strokeWidth: size, roughness: size,
  opacity: size, roundness: maybe(fields({ type: number, value: optional(size) })), groupIds: list(text), frameId: maybe(text),
  boundElements: maybe(list(fields({ id: text, type: text }))),
  // of a text and a frame
  text, originalText: text, fontSize: size, fontFamily: number, lineHeight: size, textAlign: text, verticalAlign: text, containerId: maybe(text),
  autoResize: flag, name: maybe(text),
  // of lines and strokes
  points: list(point), lastCommittedPoint: maybe(point), startBinding: binding, endBinding: binding, startArrowhead: maybe(text), endArrowhead: maybe(text),
  elbowed: flag, polygon: flag, fixedSegments: maybe(list(fields({ start: point, end: point, index: number }))), startIsSpecial: maybe(flag),
  endIsSpecial: maybe(flag), pressures: list(size), simulatePressure: flag,
};

/** An element with nothing in it but fields that Excalidraw can show; null for one that the room's board does not draw. */
function drawable(value: unknown): BoardElement | null {
  if (typeof value !== "object" || value === null) return null;
  const given = value as Record<string, unknown>;
  const kept = Object.fromEntries(Object.entries(FIELDS).flatMap(([key, test]) => (test(given[key]) ? [[key, given[key]]] : []))) as BoardElement;
  const needed = Object.hasOwn(NEEDS, String(kept.type)) ? NEEDS[kept.type] : undefined;
  return needed && kept.id && needed.every((key) => key in kept) ? kept : null;
}

/** What of a stored scene can be shown, from back to front. */
export function drawables(elements: readonly unknown[]): BoardElement[] {
  return ordered(elements.map(drawable).filter((element) => element !== null));
}

/** What is written in a drawing, a line for each text. */
export function words(elements: readonly BoardElement[]): string {
  return elements.flatMap(({ type, text, name }) => (type === "frame" ? (name ?? []) : type === "text" ? text : [])).join("\n");
}

/** The elements that a map holds. An entry that is none is passed over. */
export function pull(map: Y.Map<string>): BoardElement[] {
  const found: BoardElement[] = [];
  for (const [id, json] of map.entries()) {
    try {
      const element = drawable(JSON.parse(json));
      if (element?.id === id) found.push(element);
    } catch {
      // Written by something else; the server says the same when it reads the scene.
    }
  }
  return ordered(found);
}

/** Whether an element is another than the one written: Excalidraw gives each change a new version, and what it only tidies when it loads none. */
function changed(element: BoardElement, written: string | undefined): boolean {
  if (written === undefined) return true;
  try {
    const { version, versionNonce } = JSON.parse(written) as BoardElement;
    return version !== element.version || versionNonce !== element.versionNonce;
  } catch {
    return true;
  }
}

/**
 * Writes what changed against `known`, in one transaction with this origin, and notes it there. Deleted elements leave the map. Says whether anything was
 * written. `known` is what the board last took from the map or wrote to it, and not the map itself: what others have changed there and the board does not
 * show yet must not be put back as it was.
 */
export function push(map: Y.Map<string>, known: Map<string, string>, elements: readonly BoardElement[], origin: unknown): boolean {
  const changes = elements.filter((element) => (element.isDeleted ? known.has(element.id) : changed(element, known.get(element.id))));
  if (!changes.length) return false;
  map.doc!.transact(() => {
    for (const element of changes) {
      if (element.isDeleted) {
        known.delete(element.id);
        map.delete(element.id);
      } else {
        const json = JSON.stringify(element);
        known.set(element.id, json);
        map.set(element.id, json);
      }
    }
  }, origin);
  return true;
}

/** How far to zoom and scroll so that a board of this size shows all that lies within [left, top, right, bottom], with a margin, and nothing larger than drawn. */
export function fit(bounds: readonly [number, number, number, number], board: { width: number; height: number }): { zoom: number; scrollX: number; scrollY: number } {
  const [left, top, right, bottom] = bounds;
  const zoom = Math.max(0.05, Math.min(1, (0.94 * board.width) / (right - left || 1), (0.94 * board.height) / (bottom - top || 1)));
  return { zoom, scrollX: board.width / 2 / zoom - (left + right) / 2, scrollY: board.height / 2 / zoom - (top + bottom) / 2 };
}
