/** The documents of a room: one per question, each with its socket and its offline copy. */
import { IndexeddbPersistence } from "y-indexeddb";
import * as Y from "yjs";
import type { Question } from "../shared/types";
import { socketUrl } from "./doorbell";
import { AnswerProvider, type SaveState } from "./provider";

export interface Open {
  doc: Y.Doc;
  provider: AnswerProvider;
  store: IndexeddbPersistence;
}

export class Answers {
  private readonly open = new Map<string, Open>();

  constructor(private readonly onState: () => void) {}

  get(question: Question): Open {
    let found = this.open.get(question.answer_id);
    if (!found) {
      const doc = new Y.Doc();
      const store = new IndexeddbPersistence(`roofline-${question.answer_id}`, doc);
      const provider = new AnswerProvider(socketUrl(`/ws/answers/${question.answer_id}/`), doc, Y.mergeUpdates, this.onState);
      doc.on("update", this.onState);
      found = { doc, provider, store };
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

  isBlank(question: Question): boolean {
    const { doc } = this.get(question);
    const code = question.kind === "code" && doc.getText("code").length > 0;
    const fields = [...doc.getMap<string>("fields").values()].some((value) => value.trim());
    return !code && !fields && doc.getMap("scene").size === 0 && !doc.getText("text").toString().trim();
  }

  flush = (): void => {
    for (const { provider } of this.open.values()) provider.flush();
  };

  retry = (): void => {
    for (const { provider } of this.open.values()) provider.retry();
  };

  /** Waits until the server has acknowledged all that was typed, at most `ms`. */
  async settle(ms = 5000): Promise<boolean> {
    const end = performance.now() + ms;
    this.flush();
    while (![...this.open.values()].every(({ provider }) => provider.settled)) {
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    return true;
  }

  /** The interview is over and all is stored: nothing of it stays on this device. */
  async forget(): Promise<void> {
    await Promise.all([...this.open.values()].map(({ store }) => store.clearData()));
  }
}
