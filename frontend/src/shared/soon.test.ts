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
  soon.atLatest(0);
  vi.advanceTimersByTime(5000);
  expect(act).not.toHaveBeenCalled();
  soon.within(2000);
  soon.atLatest(100);
  vi.advanceTimersByTime(100);
  expect(act).toHaveBeenCalledTimes(1);
  act.mockClear();
  soon.within(2000);
  soon.finish();
  vi.advanceTimersByTime(5000);
  expect(act).toHaveBeenCalledTimes(1);
});

test("before the page goes all that waits is done, once", () => {
  const acts = [vi.fn(), vi.fn(), vi.fn()];
  acts.map((act) => new Soon(act)).forEach((soon, i) => i < 2 && soon.within(250 + 2000 * i));
  Soon.finishAll();
  Soon.finishAll();
  vi.advanceTimersByTime(5000);
  expect(acts.map((act) => act.mock.calls.length)).toEqual([1, 1, 0]);
  const again = vi.fn(() => again.mock.calls.length < 9 && anew.within(0));
  const anew = new Soon(again);
  anew.within(0);
  Soon.finishAll();
  expect(again).toHaveBeenCalledTimes(1);
});
