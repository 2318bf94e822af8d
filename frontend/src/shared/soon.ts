/** Acts once for many changes, at the earliest moment that one of them asks for. */
export class Soon {
  private static readonly waiting = new Set<Soon>();
  private timer = 0;
  private due = 0;

  constructor(private readonly act: () => void) {}

  within(ms: number): void {
    const due = performance.now() + ms;
    if (this.timer && this.due <= due) return;
    clearTimeout(this.timer);
    Soon.waiting.add(this);
    this.due = due;
    this.timer = setTimeout(this.finish, ms) as unknown as number;
  }

  /** Acts within this time if anything waits. */
  atLatest(ms: number): void {
    if (this.timer) this.within(ms);
  }

  /** Acts at once if anything waits. */
  finish = (): void => {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = 0;
    Soon.waiting.delete(this);
    this.act();
  };

  /** Acts at once wherever on the page something waits: before it goes, and before what is written is said to be all. */
  static finishAll(): void {
    for (const soon of [...Soon.waiting]) soon.finish(); // a copy: what acts may wait anew
  }
}
