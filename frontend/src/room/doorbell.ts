/** The interview's socket: says that event N exists and how much time is left. What happened is fetched. */

export type Message =
  | { type: "hello"; seq: number; remaining_ms: number; status: string }
  | { type: "seq"; seq: number }
  | { type: "clock"; remaining_ms: number; status: string }
  | { type: "error"; code: string; detail: string };

const BACKOFF_MS = [300, 700, 1500, 3000, 6000];

export class Doorbell {
  private socket: WebSocket | null = null;
  private askedAt = 0;
  private tries = 0;
  private closed = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

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
    this.askedAt = performance.now();
    this.socket.send(JSON.stringify({ type: "clock" }));
  };

  retry = (): void => {
    if (this.closed || this.socket) return;
    clearTimeout(this.timer);
    this.tries = 0;
    this.connect();
  };

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect(): void {
    const socket = new WebSocket(this.url);
    this.socket = socket;
    const asked = performance.now();
    socket.onopen = () => this.onLine(true);
    socket.onmessage = (event) => {
      this.tries = 0;
      const message = JSON.parse(String(event.data)) as Message;
      this.onMessage(message, message.type === "hello" ? asked : message.type === "clock" ? this.askedAt : performance.now());
    };
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      this.socket = null;
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
