/** The documents of a room: one per question, each with its socket and its offline copy. */
import { IndexeddbPersistence } from "y-indexeddb";
import * as Y from "yjs";
import { Soon } from "../shared/soon";
import type { Question } from "../shared/types";
import { socketUrl } from "./doorbell";
import { AnswerProvider, type SaveState } from "./provider";

/** A doc's texts that an editor shows. */
export type TextName = "text" | "code";

export interface Open {
  doc: Y.Doc;
  provider: AnswerProvider;
  store: IndexeddbPersistence;
  /** What was typed on this page and can be undone. It lives as long as the page, not as long as an editor does. */
  undo: Record<TextName, Y.UndoManager>;
}

const LOADING_MS = 3000; // for this device's copy; a browser without a store never has one

export class Answers {
  private readonly open = new Map<string, Open>();
  private ended = false;

  constructor(private readonly onState: () => void) {}

  get(question: Question): Open {
    let found = this.open.get(question.answer_id);
    if (!found) {
      const doc = new Y.Doc();
      const store = new IndexeddbPersistence(`roofline-${question.answer_id}`, doc);
      const provider = new AnswerProvider(socketUrl(`/ws/answers/${question.answer_id}/`), doc, this.onState);
      if (this.ended) provider.end();
      doc.on("update", this.onState);
      const undo = { text: new Y.UndoManager(doc.getText("text")), code: new Y.UndoManager(doc.getText("code")) };
      found = { doc, provider, store, undo };
      this.open.set(question.answer_id, found);
    }
    return found;
  }

  /** The state that a person should see: the worst of all. */
  get state(): SaveState | null {
    const states = [...this.open.values()].map(({ provider }) => provider.state);
    for (const kind of ["refused", "offline", "saving"] as const) {
      const found = states.find((state) => state.kind === kind);
      if (found) return found;
    }
    const saved = states.filter((state) => state.kind === "saved").sort((a, b) => b.at.getTime() - a.at.getTime());
    return saved[0] ?? null;
  }

  /** Whether nothing was written; the starter that a code question comes with is no answer. */
  isBlank(question: Question): boolean {
    const { doc } = this.get(question);
    const code = doc.getText("code").toString().trim();
    const fields = [...doc.getMap<string>("fields").values()].some((value) => value.trim());
    return (!code || code === question.lab?.starter.trim()) && !fields && doc.getMap("scene").size === 0 && !doc.getText("text").toString().trim();
  }

  flush = (): void => {
    Soon.finishAll(); // what a board has not written yet
    for (const { provider } of this.open.values()) provider.flush();
  };

  /** The interview is over: what the server does not take now it never will. */
  end(): void {
    this.ended = true;
    for (const { provider } of this.open.values()) provider.end();
  }

  retry = (anew = false): void => {
    for (const { provider } of this.open.values()) provider.retry(anew);
  };

  /** Why answers of `questions` are not stored, each reason once; `final` where they never will be. */
  refusals(questions: Question[]): { detail: string; final: boolean; titles: string[] }[] {
    const found = new Map<string, { detail: string; final: boolean; titles: string[] }>();
    for (const { answer_id, title } of questions) {
      const state = this.open.get(answer_id)?.provider.state;
      if (state?.kind !== "refused") continue;
      const same = found.get(state.detail);
      if (same) same.titles.push(title);
      else found.set(state.detail, { detail: state.detail, final: state.final, titles: [title] });
    }
    return [...found.values()];
  }

  /** Waits until the server has acknowledged all that was typed, at most `ms` and no longer than until it refuses something. */
  async settle(ms = 5000): Promise<boolean> {
    const end = performance.now() + ms;
    this.flush();
    while (![...this.open.values()].every(({ provider }) => provider.settled)) {
      if (performance.now() > end || this.state?.kind === "refused") return false;
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    return true;
  }

  /** Waits for what this device kept of earlier visits: until then it can't be said that the server has everything. */
  async load(): Promise<void> {
    const all = Promise.all([...this.open.values()].map(({ store }) => store.whenSynced));
    await Promise.race([all, new Promise((resolve) => setTimeout(resolve, LOADING_MS))]);
  }

  /** The interview is over: what the server has goes from this device, and with `unstored` what it does not have as well. */
  async forget(unstored = false): Promise<void> {
    const gone = [...this.open.values()].filter(({ provider }) => unstored || provider.settled);
    await Promise.all(gone.map(({ store }) => store.clearData()));
  }
}
