/**
 * The clock. The server sends remaining milliseconds, never an end time, and this page's own clock only measures how long ago that was, so that
 * two clocks are never compared. What is shown is an upper bound that never exceeds what the server grants:
 *
 * The server computed `remaining` at some moment between our sending the request (a) and our receiving the answer (b). At time t, at least t - b has
 * passed since then and at most t - a. What is surely left is remaining - (t - a); we show that, so that the last second shown is one that the
 * server still grants. A message without a request (the doorbell's hello) is taken with a = b. Later messages only ever lower what is shown, unless
 * the server grants more time on purpose, by more than the jitter of a line.
 */

export const GRANT_MS = 5_000;
const SLEPT_MS = 2_000; // the clock of the day ran on so much further: more than a correction of it

export class Countdown {
  private endsAt: number | null = null;
  private offset: number | null = null;

  /** `sentAt` and `now` are readings of performance.now(), in milliseconds. */
  update(remainingMs: number, sentAt: number): void {
    const endsAt = sentAt + remainingMs;
    if (this.endsAt === null || endsAt < this.endsAt || endsAt > this.endsAt + GRANT_MS) this.endsAt = endsAt;
  }

  /**
   * Takes off the time that the machine slept since the last call, in which performance.now() may stand still; says whether there was any, so that the
   * server can be asked. `wall` is a reading of Date.now(). Who sets the clock of the day forward loses nothing that the server does not give back.
   */
  wake(now: number, wall: number): boolean {
    const slept = this.offset === null ? 0 : wall - now - this.offset;
    this.offset = wall - now;
    if (slept <= SLEPT_MS) return false;
    if (this.endsAt !== null) this.endsAt -= slept;
    return true;
  }

  remaining(now: number): number {
    return this.endsAt === null ? 0 : Math.max(0, this.endsAt - now);
  }
}

export const END_MS = 750; // left when all that waits is sent, and the server is asked how much there is
const LOCK_MS = 200; // left when nothing more can be typed: what was typed before has this long to arrive
const LATE_MS = 50; // after the end, when the server is asked whether it is
const RETRY_MS = 1000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

/**
 * Goes with the room through its last moment: `ask` says what the server grants, or null when it can't be reached; `lock` shuts the editors, or opens them
 * again when the server grants more. Only the server's word locks, never this page's clock alone. Resolves once the server takes nothing more, or grants
 * so much that the countdown shows it; `stopped` ends it early.
 */
export async function end(
  ask: () => Promise<{ can_write: boolean; remaining_ms: number } | null>,
  lock: (locked: boolean) => void,
  stopped: () => boolean,
): Promise<void> {
  for (;;) {
    const sentAt = performance.now();
    const granted = await ask();
    if (stopped()) return;
    if (granted && (!granted.can_write || granted.remaining_ms > GRANT_MS)) return lock(false);
    const endsAt = sentAt + (granted?.remaining_ms ?? 0);
    if (!granted) {
      await pause(RETRY_MS);
    } else if (granted.remaining_ms > END_MS) {
      // More than a moment, but what is shown isn't raised by so little: it would say at once that the end is here.
      lock(false);
      await pause(endsAt - END_MS - performance.now());
    } else {
      await pause(endsAt - LOCK_MS - performance.now());
      if (stopped()) return;
      lock(true);
      await pause(endsAt + LATE_MS - performance.now());
    }
    if (stopped()) return;
  }
}

/** `1:02:03` or `02:03`; the part of a second that is left is not promised. */
export function digits(ms: number): string {
  const total = Math.floor(ms / 1000);
  const pad = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(total / 3600);
  const rest = `${pad(Math.floor((total % 3600) / 60))}:${pad(total % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

const MARKS_MIN = [10, 5, 1];

/** What a screen reader is told when the time left falls from `before` to `after` ms, or null. */
export function announcement(before: number, after: number): string | null {
  if (before > 0 && after <= 0) return "The time is over.";
  for (const minutes of MARKS_MIN) {
    const mark = minutes * 60_000;
    if (before > mark && after <= mark) return `${minutes} ${minutes === 1 ? "minute" : "minutes"} left.`;
  }
  return null;
}
