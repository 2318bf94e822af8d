import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Soon } from "./soon";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("changes without end are acted on at the pace that they ask for", () => {
  const act = vi.fn();
  const soon = new Soon(act);
  for (let ms = 0; ms < 60_000; ms += 20) {
    soon.within(2000);
    vi.advanceTimersByTime(20);
  }
  expect(act).toHaveBeenCalledTimes(30);
});

test("who asks for less time is not made to wait, and who asks for more changes nothing", () => {
  const act = vi.fn();
  const soon = new Soon(act);
  soon.within(2000);
  soon.within(250);
  soon.within(2000);
  vi.advanceTimersByTime(249);
  expect(act).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  vi.advanceTimersByTime(5000);
  expect(act).toHaveBeenCalledTimes(1);
});

test("what waits is done at the end, and nothing else", () => {
  const act = vi.fn();
  const soon = new Soon(act);
  soon.finish();
  expect(act).not.toHaveBeenCalled();
  soon.within(2000);
  soon.finish();
  vi.advanceTimersByTime(5000);
  expect(act).toHaveBeenCalledTimes(1);
});
