/** What is shown of a report, and how it stays fresh. */
import { Doorbell } from "../room/doorbell";
import { ApiError } from "../shared/api";
import type { Report } from "../shared/types";

const MINUTE_MS = 60_000;

export interface Shown {
  report: Report | null;
  /** Why the report could not be loaded. */
  failedLoad: string | null;
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The report as the latest call brought it: one that an earlier call brings afterwards is not shown. */
export class Feed {
  private shown: Shown = { report: null, failedLoad: null };
  private calls = 0;
  private latest = 0;
  private loading = 0;
  private rung = -1;

  constructor(
    private readonly load: () => Promise<Report>,
    private readonly onChange: (shown: Shown) => void,
  ) {}

  refresh = async (): Promise<void> => {
    const call = ++this.calls;
    const known = this.rung;
    this.loading += 1;
    try {
      this.take(call, await this.load());
    } catch (error) {
      if (call > this.latest) this.show({ failedLoad: words(error) });
    }
    this.loading -= 1;
    if (this.rung > known) this.answer();
  };

  /** Does what the reader asked for. Returns why it failed, to be said where they asked; null when it worked. Refused because of what they can't have seen, it shows that. */
  act = async (action: () => Promise<Report>): Promise<string | null> => {
    const call = ++this.calls;
    try {
      // A load that began later may have come back earlier, without what this did.
      if (!this.take(call, await action())) void this.refresh();
      return null;
    } catch (error) {
      if (error instanceof ApiError && error.status === 409) await this.refresh();
      return words(error);
    }
  };

  /** Event `seq` exists. It may have come after the report was loaded; a load that is under way when it rings may have it or not. */
  ring(seq: number): void {
    if (seq <= this.rung) return;
    this.rung = seq;
    this.answer();
  }

  private answer(): void {
    if (!this.loading && (this.shown.report?.seq ?? -1) < this.rung) void this.refresh();
  }

  private take(call: number, report: Report): boolean {
    if (call < this.latest) return false;
    this.latest = call;
    this.show({ report, failedLoad: null });
    return true;
  }

  private show(change: Partial<Shown>): void {
    this.shown = { ...this.shown, ...change };
    this.onChange(this.shown);
  }
}

/** Loads the report, and again when the doorbell rings, when the page comes into view and by the minute while it is in view. Returns what ends this. */
export function keepFresh(feed: Feed, url: string): () => void {
  void feed.refresh();
  const bell = new Doorbell(
    url,
    (message) => {
      if ("seq" in message) feed.ring(message.seq);
    },
    () => undefined,
  );
  const look = (): void => {
    if (document.visibilityState === "hidden") return;
    bell.retry();
    void feed.refresh();
  };
  const minute = setInterval(look, MINUTE_MS);
  document.addEventListener("visibilitychange", look);
  window.addEventListener("focus", look);
  return () => {
    bell.close();
    clearInterval(minute);
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("focus", look);
  };
}
