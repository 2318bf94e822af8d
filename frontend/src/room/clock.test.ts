import { describe, expect, it } from "vitest";
import { announcement, Countdown, digits } from "./clock";

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
