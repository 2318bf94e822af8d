/** The whiteboard: Excalidraw, self-hosted. Loaded only where a drawing is made or shown; nothing of it calls out. */
import "./boardAssets";
import { CaptureUpdateAction, Excalidraw, MainMenu } from "@excalidraw/excalidraw";
import "@excalidraw/excalidraw/index.css";
import type { ExcalidrawImperativeAPI } from "@excalidraw/excalidraw/types";
import { useEffect, useState, useSyncExternalStore } from "react";
import type * as Y from "yjs";
import { type BoardElement, ordered, pull, push } from "./scene";
import { Soon } from "./soon";

interface Props {
  /** Element id -> its JSON. Without one the board shows `elements` and takes no changes. */
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
  const [start] = useState(() => ({ elements: map ? pull(map) : ordered(elements ?? []), scrollToContent: true, appState: { viewBackgroundColor: "transparent" } }));

  useEffect(() => {
    document.addEventListener("keydown", closeDialog, true);
    return () => document.removeEventListener("keydown", closeDialog, true);
  }, []);

  // What another tab or the offline copy brings. Our own writes come with this board as their origin and are passed over.
  useEffect(() => {
    if (!map || !api) return;
    const take = (_: Y.YMapEvent<string>, transaction: Y.Transaction): void => {
      if (transaction.origin !== api) show();
    };
    const show = (): void => api.updateScene({ elements: pull(map) as never, captureUpdate: CaptureUpdateAction.NEVER });
    show();
    map.observe(take);
    return () => map.unobserve(take);
  }, [map, api]);

  // Excalidraw reports a change on every pointer move: what changed is written soon after, seldom while a button is held, and when the board goes away.
  useEffect(() => {
    if (!map || !api || readOnly) return;
    const soon = new Soon(() => push(map, api.getSceneElementsIncludingDeleted() as unknown as BoardElement[], api));
    const heard = new AbortController();
    let held = false;
    const press = (event: PointerEvent): void => {
      held = event.type === "pointerdown";
      if (!held) soon.atLatest(PAUSE_MS); // a click elsewhere is no change, and opening a drawing may tidy it in memory
    };
    for (const kind of ["pointerdown", "pointerup", "pointercancel"] as const) addEventListener(kind, press, { capture: true, signal: heard.signal });
    const stop = api.onChange(() => soon.within(held ? HELD_MS : PAUSE_MS));
    return () => {
      heard.abort();
      stop();
      soon.finish();
    };
  }, [map, api, readOnly]);

  return (
    <div className="board" role="application" aria-label={label}>
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
