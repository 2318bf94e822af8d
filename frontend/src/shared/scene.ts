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

/** The elements that a map holds. An entry that is none is passed over. */
export function pull(map: Y.Map<string>): BoardElement[] {
  const found: BoardElement[] = [];
  for (const [id, json] of map.entries()) {
    try {
      const element = JSON.parse(json) as BoardElement;
      if (element && element.id === id && typeof element.type === "string") found.push(element);
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
