/** The whiteboard: Excalidraw, self-hosted. Loaded only where a drawing is made or shown; nothing of it calls out. */
import "./boardAssets";
import { CaptureUpdateAction, Excalidraw, getCommonBounds, MainMenu } from "@excalidraw/excalidraw";
import "@excalidraw/excalidraw/index.css";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import { useEffect, useLayoutEffect, useState, useSyncExternalStore, type WheelEvent } from "react";
import type * as Y from "yjs";
import { type BoardElement, fit, pull, push } from "./scene";
import { Soon } from "./soon";

interface Props {
  /** Element id -> its JSON. Without one the board shows `elements`, from back to front, and takes no changes. */
  map?: Y.Map<string>;
  elements?: BoardElement[];
  label: string;
  readOnly: boolean;
}

const PAUSE_MS = 250;
const HELD_MS = 2000; // a drag of many things writes all of them each time, and an answer's history has a limit
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** The page's theme: what was chosen on it, or else the system's. */
const theme = (): "dark" | "light" => (document.documentElement.dataset.theme ?? (DARK.matches ? "dark" : "light")) as "dark" | "light";

/** Excalidraw's dialogs take Escape only while the focus is in them, and some have nothing to focus. */
function closeDialog(event: KeyboardEvent): void {
  if (event.key === "Escape") document.querySelector<HTMLElement>(".excalidraw-modal-container .Modal__background")?.click();
}

/** Over a drawing that is read the wheel scrolls the page, which goes on below; with Ctrl it zooms. */
function leaveToPage(event: WheelEvent): void {
  if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
}

function onTheme(changed: () => void): () => void {
  const watch = new MutationObserver(changed);
  watch.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  DARK.addEventListener("change", changed);
  return () => {
    watch.disconnect();
    DARK.removeEventListener("change", changed);
  };
}

export default function Board({ map, elements, label, readOnly }: Props) {
  const [api, setApi] = useState<ExcalidrawImperativeAPI | null>(null);
  // Asked for when Excalidraw sets its scene: a copy made before would blank what came from the server between.
  const start = () => ({ elements: map ? pull(map) : elements, scrollToContent: true, appState: { viewBackgroundColor: "transparent" } });

  useEffect(() => {
    document.addEventListener("keydown", closeDialog, true);
    return () => document.removeEventListener("keydown", closeDialog, true);
  }, []);

  // A layout effect: its end comes while Excalidraw still has its scene, and what waits is written then.
  useLayoutEffect(() => {
    if (!map || !api) return;
    const heard = new AbortController();
    const held = new Set<number>(); // pointers: a palm that leaves does not end a pen's stroke
    let known = new Map<string, string>();
    let due = false; // others changed the map, and the board does not show it yet
    const show = (): void => {
      due = false;
      known = new Map(map.entries());
      api.updateScene({ elements: pull(map) as never, captureUpdate: CaptureUpdateAction.NEVER });
    };
    // A new scene has new elements, and Excalidraw would go on with the old one of a stroke, or of a line between two of its clicks, to no effect.
    const inHand = (): boolean => held.size > 0 || api.getAppState().multiElement !== null;
    // First what is drawn here goes into the map, so that the new scene has it too.
    const soon = new Soon(() => {
      if (!readOnly) push(map, known, api.getSceneElementsIncludingDeleted() as unknown as BoardElement[], api);
      if (due && !inHand()) show();
    });
    // What another tab or the offline copy brings. Our own writes come with this board as their origin and are passed over.
    const take = (_: Y.YMapEvent<string>, transaction: Y.Transaction): void => {
      if (transaction.origin === api) return;
      due = true;
      if (!inHand()) soon.within(0);
    };
    // Moves count too: they tell of a release that never came, as after the browser's own menu.
    const point = (event: PointerEvent): void => {
      if (event.buttons && event.type !== "pointercancel") held.add(event.pointerId);
      else if (held.delete(event.pointerId) && !held.size) {
        if (due) soon.within(0); // not within this event: Excalidraw hears of it after us and ends its stroke then
        else soon.atLatest(PAUSE_MS); // a click elsewhere is no change, and opening a drawing may tidy it in memory
      }
    };
    show();
    map.observe(take);
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"] as const)
      addEventListener(kind, point, { capture: true, signal: heard.signal });
    // Excalidraw reports a change on every pointer move: what changed is written soon after, seldom while a button is held, and when the board goes away.
    // It reports the end of a line as well, and what was put off until then is shown.
    const stop = api.onChange(() => soon.within(held.size ? HELD_MS : PAUSE_MS));
    return () => {
      map.unobserve(take);
      heard.abort();
      stop();
      due = false; // there is no scene any more to show it in
      soon.finish();
    };
  }, [map, api, readOnly]);

  // A drawing in a page is there to be read: all of it is in sight, however large it was drawn. Excalidraw sets its scene after it hands out its interface.
  useEffect(() => {
    if (map || !api) return;
    const stop = api.onChange((shown, state) => {
      if (state.isLoading || !shown.length) return;
      stop();
      const { zoom, ...scroll } = fit(getCommonBounds(shown), state); // Excalidraw's own fit knows steps of 10 % alone
      api.updateScene({ appState: { ...scroll, zoom: { value: zoom as never } }, captureUpdate: CaptureUpdateAction.NEVER });
    });
    return stop;
  }, [map, api]);

  return (
    <div className={map ? "board" : "board read"} role="application" aria-label={label} onWheelCapture={map ? undefined : leaveToPage}>
      <Excalidraw
        excalidrawAPI={setApi}
        initialData={start as never}
        theme={useSyncExternalStore(onTheme, theme)}
        viewModeEnabled={readOnly}
        detectScroll={false}
        handleKeyboardGlobally={false}
        aiEnabled={false}
        validateEmbeddable={false}
        UIOptions={{ tools: { image: false }, canvasActions: { loadScene: false, saveToActiveFile: false, export: false, saveAsImage: false, toggleTheme: false } }}
      >
        <MainMenu />
      </Excalidraw>
    </div>
  );
}
