import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { announcement, Countdown, digits, end } from "./clock";

describe("the clock", () => {
  it("never shows more than the server grants, however long the answer was under way", () => {
    const clock = new Countdown();
    clock.update(60_000, 1_000); // asked at 1 s; the answer came later
    expect(clock.remaining(4_000)).toBe(57_000);
  });

  it("does not jump backwards when a slower answer says a little more", () => {
    const clock = new Countdown();
    clock.update(60_000, 0);
    clock.update(59_500, 800);
    expect(clock.remaining(1_000)).toBe(59_000);
  });

  it("takes a lower figure at once and a real extension too", () => {
    const clock = new Countdown();
    clock.update(60_000, 0);
    clock.update(30_000, 0);
    expect(clock.remaining(0)).toBe(30_000);
    clock.update(330_000, 0);
    expect(clock.remaining(0)).toBe(330_000);
  });

  it.each([
    ["sleep, in which this page's clock stood still", 10_000, 70_000, true, 30_000],
    ["sleep, in which it ran on", 70_000, 70_000, false, 30_000],
    ["a correction of the clock of the day", 10_000, 11_500, false, 90_000],
    ["one that set it back", 10_000, -5_000, false, 90_000],
  ])("counts %s", (_, passed, wallPassed, asks, left) => {
    const clock = new Countdown();
    clock.update(100_000, 0);
    expect(clock.wake(0, 1_000_000)).toBe(false);
    expect(clock.wake(passed, 1_000_000 + wallPassed)).toBe(asks);
    expect(clock.remaining(passed)).toBe(left);
    expect(clock.wake(passed + 250, 1_000_250 + wallPassed)).toBe(false);
  });

  it("stops at nothing", () => {
    const clock = new Countdown();
    clock.update(1_000, 0);
    expect(clock.remaining(9_000)).toBe(0);
  });

  it.each([
    [0, "00:00"],
    [999, "00:00"],
    [59_999, "00:59"],
    [3_599_000, "59:59"],
    [3_723_000, "1:02:03"],
  ])("shows %i ms as %s", (ms, text) => {
    expect(digits(ms)).toBe(text);
  });

  it("speaks once at ten, five and one minute, and at the end", () => {
    expect(announcement(600_100, 599_900)).toBe("10 minutes left.");
    expect(announcement(599_900, 599_700)).toBeNull();
    expect(announcement(60_050, 59_800)).toBe("1 minute left.");
    expect(announcement(100, 0)).toBe("The time is over.");
    expect(announcement(0, 0)).toBeNull();
  });
});

describe("the end", () => {
  let deadline: number;
  let asked: number[];
  let locks: [number, boolean][];
  let away: boolean;
  const now = (): number => Math.round(performance.now());
  /** The server's side, 30 ms away in each direction. */
  const ask = async (): Promise<{ can_write: boolean; remaining_ms: number } | null> => {
    asked.push(now());
    await new Promise((resolve) => setTimeout(resolve, 30));
    const remaining_ms = Math.max(0, deadline - now());
    await new Promise((resolve) => setTimeout(resolve, 30));
    return away ? null : { can_write: remaining_ms > 0, remaining_ms };
  };
  let over: boolean;
  const begin = (stopped = (): boolean => false): void => {
    over = false;
    void end(ask, (locked) => locks.push([now(), locked]), stopped).then(() => (over = true));
  };

  beforeEach(() => {
    vi.useFakeTimers();
    [asked, locks, away] = [[], [], false];
    deadline = now() + 700;
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("locks shortly before the server does, and asks until it has", async () => {
    begin();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(over).toBe(true);
    expect(locks).toEqual([[deadline - 230, true], [asked.at(-1)! + 60, false]]);
    expect(asked.at(-1)! + 30).toBeGreaterThanOrEqual(deadline);
    expect(asked.length).toBe(2);
  });

  it("asks again when it is told that there is still a moment", async () => {
    deadline = now() + 90;
    begin();
    await vi.advanceTimersByTimeAsync(2_000);
    expect([over, locks[0]![1], asked.length]).toEqual([true, true, 2]);
  });

  it("leaves the editors open where this page's clock was wrong or more time was granted", async () => {
    deadline = now() + 60_000;
    begin();
    await vi.advanceTimersByTimeAsync(100);
    expect([over, locks.map(([, locked]) => locked)]).toEqual([true, [false]]);
  });

  it.each([100, 1_000, 4_000])("asks no oftener where this page's clock is %i ms early", async (early) => {
    deadline += early;
    begin();
    await vi.advanceTimersByTimeAsync(early + 2_000);
    expect([over, asked.length, deadline - locks.find(([, locked]) => locked)![0]]).toEqual([true, 3, 230]);
  });

  it("opens them again when more was granted at the last moment", async () => {
    begin();
    await vi.advanceTimersByTimeAsync(600);
    deadline += 60_000;
    await vi.advanceTimersByTimeAsync(600);
    expect([over, locks.map(([, locked]) => locked)]).toEqual([true, [true, false]]);
  });

  it("locks nothing while the server can't be reached, and goes on asking", async () => {
    away = true;
    begin();
    await vi.advanceTimersByTimeAsync(5_000);
    expect([over, locks, asked.length > 3]).toEqual([false, [], true]);
    away = false;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(over).toBe(true);
  });

  it("stops when the room does", async () => {
    let stopped = false;
    begin(() => stopped);
    stopped = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect([over, locks, asked.length]).toEqual([true, [], 1]);
  });
});
