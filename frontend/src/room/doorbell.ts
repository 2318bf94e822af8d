/** The interview's socket: says that event N exists and how much time is left. What happened is fetched. */

export type Message =
  | { type: "hello"; seq: number; remaining_ms: number; status: string }
  | { type: "seq"; seq: number }
  | { type: "clock"; seq: number; remaining_ms: number; status: string }
  | { type: "error"; code: string; detail: string };

const BACKOFF_MS = [300, 700, 1500, 3000, 6000];
const OPENING_MS = 20_000; // for the line to open and the server to say hello
const PATIENCE_MS = 8000; // for an answer, before the line is held to be dead

export class Doorbell {
  private socket: WebSocket | null = null;
  /** When each question about the clock was sent that is not answered yet, oldest first: they are answered in this order. */
  private asked: number[] = [];
  private tries = 0;
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    /** `sentAt` is when this side asked, on performance.now()'s clock. */
    private readonly onMessage: (message: Message, sentAt: number) => void,
    private readonly onLine: (online: boolean) => void,
  ) {
    this.connect();
  }

  askClock = (): void => {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.asked.push(performance.now());
    this.socket.send(JSON.stringify({ type: "clock" }));
    this.watch ??= setTimeout(this.giveUp, PATIENCE_MS);
  };

  /** Tries again at once; `anew` if the line that seems to stand is not to be trusted. */
  retry = (anew = false): void => {
    if (this.closed || (this.socket && !anew)) return;
    this.tries = 0;
    this.connect();
  };

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.quiet();
    this.socket?.close();
  }

  /** The line is dead without having closed: nothing came when an answer was due. */
  private giveUp = (): void => {
    this.onLine(false);
    this.connect();
  };

  private quiet(): void {
    clearTimeout(this.watch);
    this.watch = undefined;
  }

  private connect(): void {
    const old = this.socket;
    this.socket = null;
    old?.close();
    clearTimeout(this.timer);
    this.quiet();
    this.asked = [];
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.watch = setTimeout(this.giveUp, OPENING_MS);
    const opened = performance.now();
    socket.onmessage = (event) => {
      if (this.socket !== socket) return;
      this.tries = 0;
      this.quiet();
      const message = JSON.parse(String(event.data)) as Message;
      if (message.type === "hello") this.onLine(true); // a line that opens may lead to nobody
      const sentAt = message.type === "hello" ? opened : message.type === "clock" ? this.asked.shift() : undefined;
      this.onMessage(message, sentAt ?? performance.now());
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.quiet();
      this.onLine(false);
      if (this.closed || event.code === 4401 || event.code === 4404) return;
      const delay = BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)]!;
      this.timer = setTimeout(() => this.connect(), delay * (0.75 + Math.random() / 2));
    };
  }
}

export function socketUrl(path: string): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
}
