import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ApiError } from "../shared/api";
import type { Report } from "../shared/types";
import { Feed, keepFresh, type Shown } from "./feed";

const report = (total: number, seq = 0): Report => ({ total, seq }) as Report;

/** Calls that are answered when the test says so, in whichever order. */
class Calls {
  private readonly open: { resolve: (report: Report) => void; reject: (error: Error) => void }[] = [];

  make = (): Promise<Report> => new Promise((resolve, reject) => this.open.push({ resolve, reject }));

  get count(): number {
    return this.open.length;
  }

  async answer(call: number, total: number, seq = 0): Promise<void> {
    this.open[call]!.resolve(report(total, seq));
    await settle();
  }

  async fail(call: number, detail: string): Promise<void> {
    await this.refuse(call, new Error(detail));
  }

  async refuse(call: number, error: Error): Promise<void> {
    this.open[call]!.reject(error);
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

describe("a report's feed", () => {
  let loads: Calls;
  let actions: Calls;
  let shown: Shown;
  let feed: Feed;

  beforeEach(() => {
    loads = new Calls();
    actions = new Calls();
    feed = new Feed(loads.make, (now) => (shown = now));
  });

  it("does not show what an earlier call brings later", async () => {
    void feed.refresh();
    void feed.refresh();
    await loads.answer(1, 8);
    await loads.answer(0, 7);
    expect(shown.report).toEqual(report(8));
  });

  it("asks again when a load hid what an action did", async () => {
    const done = feed.act(actions.make);
    void feed.refresh();
    await loads.answer(0, 7);
    await actions.answer(0, 8);
    expect(await done).toBeNull();
    await loads.answer(1, 8);
    expect(shown.report).toEqual(report(8));
  });

  it("tells who asked why it failed, and goes on showing the report", async () => {
    void feed.refresh();
    await loads.answer(0, 7);
    const saved = feed.act(actions.make);
    await actions.fail(0, "This answer was scored again meanwhile.");
    expect(await saved).toBe("This answer was scored again meanwhile.");
    expect(shown).toEqual({ report: report(7), failedLoad: null });
  });

  it("shows what a refusal is about before it says why", async () => {
    void feed.refresh();
    await loads.answer(0, 7);
    let said: string | null = null;
    void feed.act(actions.make).then((words) => (said = words));
    await actions.refuse(0, new ApiError("Admin set these points to 0 meanwhile.", "changed", 409, null));
    expect([loads.count, said]).toEqual([2, null]);
    await loads.answer(1, 8);
    expect(said).toBe("Admin set these points to 0 meanwhile.");
    expect(shown.report).toEqual(report(8));
  });

  it("says that a load failed until one succeeds", async () => {
    void feed.refresh();
    await loads.fail(0, "The server can't be reached.");
    expect(shown.failedLoad).toBe("The server can't be reached.");
    void feed.refresh();
    await loads.answer(1, 7);
    expect(shown).toEqual({ report: report(7), failedLoad: null });
  });

  it("passes by a load that fails after a later one succeeded", async () => {
    void feed.refresh();
    void feed.refresh();
    await loads.answer(1, 7);
    await loads.fail(0, "The server can't be reached.");
    expect(shown.failedLoad).toBeNull();
  });

  it("loads at each new event, not at one that it knows", async () => {
    feed.ring(4);
    feed.ring(4);
    await loads.answer(0, 7, 4);
    feed.ring(4);
    expect(loads.count).toBe(1);
    feed.ring(5);
    expect(loads.count).toBe(2);
  });

  it("loads again when what rang during a load is not in it, and not when it is", async () => {
    void feed.refresh();
    feed.ring(4);
    expect(loads.count).toBe(1);
    await loads.answer(0, 7, 4);
    expect(loads.count).toBe(1);
    void feed.refresh();
    feed.ring(5);
    await loads.answer(1, 7, 4);
    expect(loads.count).toBe(3);
    await loads.answer(2, 8, 4);
    expect(loads.count).toBe(3); // it began after the ring: to ask once more would help nobody
  });

  it("loads again when a load failed during which it rang", async () => {
    void feed.refresh();
    feed.ring(4);
    await loads.fail(0, "The server can't be reached.");
    expect(loads.count).toBe(2);
  });
});

describe("what keeps a report fresh", () => {
  class Page extends EventTarget {
    visibilityState = "visible";
  }
  class Socket {
    static last: Socket;
    static made = 0;
    onmessage: ((event: { data: string }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;
    constructor() {
      Socket.last = this;
      Socket.made += 1;
    }
    close(): void {}
  }
  let page: Page;
  let loads: Calls;
  let end: () => void;

  beforeEach(() => {
    vi.useFakeTimers();
    page = new Page();
    vi.stubGlobal("document", page);
    vi.stubGlobal("window", new EventTarget());
    vi.stubGlobal("WebSocket", Socket);
    loads = new Calls();
    end = keepFresh(new Feed(loads.make, () => undefined), "ws://test/");
  });

  afterEach(() => {
    end();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it("loads again when the socket's hello tells of what the report lacks", async () => {
    await loads.answer(0, 7, 8);
    Socket.last.onmessage!({ data: JSON.stringify({ type: "hello", seq: 8, remaining_ms: 0, status: "grading" }) });
    expect(loads.count).toBe(1);
    Socket.last.onmessage!({ data: JSON.stringify({ type: "hello", seq: 9, remaining_ms: 0, status: "grading" }) });
    expect(loads.count).toBe(2);
  });

  it("loads when the page comes back into view", () => {
    page.dispatchEvent(new Event("visibilitychange"));
    window.dispatchEvent(new Event("focus"));
    expect(loads.count).toBe(3);
  });

  it("loads by the minute, but not while nobody looks", () => {
    vi.advanceTimersByTime(60_000);
    expect(loads.count).toBe(2);
    page.visibilityState = "hidden";
    page.dispatchEvent(new Event("visibilitychange"));
    vi.advanceTimersByTime(600_000);
    expect(loads.count).toBe(2);
  });

  it("takes the line up again at once when the page comes back into view", () => {
    const before = Socket.made;
    Socket.last.onclose!({ code: 1006 });
    window.dispatchEvent(new Event("focus"));
    expect(Socket.made).toBe(before + 1);
  });

  it("is over when it is ended", () => {
    end();
    window.dispatchEvent(new Event("focus"));
    vi.advanceTimersByTime(60_000);
    expect(loads.count).toBe(1);
  });
});
