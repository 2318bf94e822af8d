import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Doorbell, type Message } from "./doorbell";

class Line {
  static readonly OPEN = 1;
  static all: Line[] = [];
  readyState = 0;
  sent: string[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;

  constructor() {
    Line.all.push(this);
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.();
    this.say({ type: "hello", seq: 1, remaining_ms: 1, status: "running" });
  }

  say(message: Message): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  send(text: string): void {
    this.sent.push(text);
  }

  /** As a browser does: what closes the line hears of it only later, if the line is dead. */
  close(): void {
    this.readyState = 2;
  }
}

describe("the doorbell", () => {
  let bell: Doorbell;
  let online: boolean[];
  let heard: [string, number][];
  const last = (): Line => Line.all.at(-1)!;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal("WebSocket", Line);
    Line.all = [];
    online = [];
    heard = [];
    bell = new Doorbell("ws://x", (message, sentAt) => heard.push([message.type, sentAt]), (on) => online.push(on));
  });
  afterEach(() => {
    bell.close();
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("takes a new line when the clock's answer does not come, and hears nothing of the old one again", () => {
    last().accept();
    bell.askClock();
    vi.advanceTimersByTime(7_900);
    expect(Line.all.length).toBe(1);
    vi.advanceTimersByTime(200);
    expect(Line.all.length).toBe(2);
    last().accept();
    Line.all[0]!.onclose?.({ code: 1006 });
    vi.advanceTimersByTime(60_000);
    expect([Line.all.length, online]).toEqual([2, [true, false, true]]);
  });

  it("calls a line one only when somebody answers on it", () => {
    last().readyState = 1;
    last().onopen?.();
    expect(online).toEqual([]);
    last().accept();
    expect(online).toEqual([true]);
  });

  it("keeps a line on which anything comes", () => {
    last().accept();
    bell.askClock();
    vi.advanceTimersByTime(7_900);
    last().say({ type: "clock", seq: 1, remaining_ms: 1, status: "running" });
    vi.advanceTimersByTime(60_000);
    expect(Line.all.length).toBe(1);
  });

  it("knows of each answer when it was asked for, also when it asks again before that", () => {
    last().accept();
    const start = performance.now();
    bell.askClock();
    vi.advanceTimersByTime(3_000);
    bell.askClock();
    last().say({ type: "clock", seq: 1, remaining_ms: 9_000, status: "running" });
    vi.advanceTimersByTime(1_000);
    last().say({ type: "clock", seq: 1, remaining_ms: 6_000, status: "running" });
    expect(heard.slice(1)).toEqual([["clock", start], ["clock", start + 3_000]]);
  });

  it("does not wait for ever for a line to open", () => {
    vi.advanceTimersByTime(20_100);
    expect(Line.all.length).toBe(2);
  });

  it("takes a new line when the network came back, and otherwise only when it has none", () => {
    last().accept();
    bell.retry();
    expect(Line.all.length).toBe(1);
    bell.retry(true);
    expect(Line.all.length).toBe(2);
  });
});
