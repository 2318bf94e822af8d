/** Acts once for many changes, at the earliest moment that one of them asks for. */
export class Soon {
  private timer = 0;
  private due = 0;

  constructor(private readonly act: () => void) {}

  within(ms: number): void {
    const due = performance.now() + ms;
    if (this.timer && this.due <= due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(this.finish, ms) as unknown as number;
  }

  /** Acts at once if anything waits. */
  finish = (): void => {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.timer = 0;
    this.act();
  };
}
