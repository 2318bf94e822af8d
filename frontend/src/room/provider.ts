/**
 * One answer's document over one socket. y-websocket's protocol with two messages more: the server acknowledges each frame that carried an update once
 * it is stored, and refuses what it will not store. "Saved" means that every frame sent on this connection was acknowledged; until then the text lives
 * in this browser's IndexedDB as well.
 */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as sync from "y-protocols/sync";
import type * as Y from "yjs";

const SYNC = 0;
const AWARENESS = 1;
const ACK = 2;
const REFUSED = 3;
const BATCH_MS = 80;
const BACKOFF_MS = [300, 700, 1500, 3000, 6000];
const FINAL_CODES = new Map([
  [4401, "You are signed out. Sign in in another tab, then reload this page. Your text is kept on this device."],
  [4404, "This answer is not yours to edit."],
]);

export type SaveState =
  | { kind: "saving" }
  | { kind: "saved"; at: Date }
  | { kind: "offline" }
  | { kind: "refused"; detail: string };

/** The part of a WebSocket that is used here; tests give one without a network. */
export interface SocketLike {
  send(frame: Uint8Array): void;
  close(): void;
  readyState: number;
  binaryType: BinaryType;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
}

export class AnswerProvider {
  state: SaveState = { kind: "offline" };
  synced = false;
  private socket: SocketLike | null = null;
  private sent = 0;
  private acked = 0;
  private tries = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private batchTimer: ReturnType<typeof setTimeout> | undefined;
  private pending: Uint8Array[] = [];
  private closed = false;

  constructor(
    private readonly url: string,
    readonly doc: Y.Doc,
    private readonly merge: (updates: Uint8Array[]) => Uint8Array,
    private readonly onState: (state: SaveState) => void,
    private readonly open: (url: string) => SocketLike = (url) => new WebSocket(url) as SocketLike,
  ) {
    doc.on("update", this.onUpdate);
    this.connect();
  }

  /** Sends what waits now, such as before the page goes away. */
  flush = (): void => {
    clearTimeout(this.batchTimer);
    this.batchTimer = undefined;
    if (!this.pending.length || !this.ready()) return;
    const update = this.pending.length === 1 ? this.pending[0]! : this.merge(this.pending);
    this.pending = [];
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, SYNC);
    sync.writeUpdate(frame, update);
    this.sendCounted(encoding.toUint8Array(frame));
  };

  get settled(): boolean {
    return this.ready() && this.synced && this.sent === this.acked && !this.pending.length;
  }

  /** Tries again at once, as when the browser says that it is online. */
  retry = (): void => {
    if (this.closed || this.socket) return;
    this.tries = 0;
    clearTimeout(this.timer);
    this.connect();
  };

  destroy(): void {
    this.flush();
    this.closed = true;
    clearTimeout(this.timer);
    this.doc.off("update", this.onUpdate);
    this.socket?.close();
  }

  private onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this) return;
    if (this.state.kind === "refused") return;
    this.pending.push(update);
    this.report();
    this.batchTimer ??= setTimeout(this.flush, BATCH_MS);
  };

  private ready(): boolean {
    return this.socket !== null && this.socket.readyState === 1;
  }

  private connect(): void {
    const socket = this.open(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    this.sent = this.acked = 0;
    this.synced = false;
    socket.onopen = () => {
      // Step 1 asks for what this side lacks; the server's own step 1 asks for what it lacks, waiting updates included.
      this.pending = [];
      const frame = encoding.createEncoder();
      encoding.writeVarUint(frame, SYNC);
      sync.writeSyncStep1(frame, this.doc);
      socket.send(encoding.toUint8Array(frame));
      this.report();
    };
    socket.onmessage = (event: MessageEvent) => this.receive(new Uint8Array(event.data as ArrayBuffer));
    socket.onclose = (event: CloseEvent) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.synced = false;
      const final = FINAL_CODES.get(event.code);
      if (final) this.set({ kind: "refused", detail: final });
      else if (this.state.kind !== "refused") this.set({ kind: "offline" });
      if (this.closed || final) return;
      const delay = BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)]!;
      this.timer = setTimeout(() => this.connect(), delay * (0.75 + Math.random() / 2));
    };
  }

  private receive(data: Uint8Array): void {
    const decoder = decoding.createDecoder(data);
    switch (decoding.readVarUint(decoder)) {
      case SYNC: {
        const reply = encoding.createEncoder();
        encoding.writeVarUint(reply, SYNC);
        const kind = sync.readSyncMessage(decoder, reply, this.doc, this);
        if (kind === sync.messageYjsSyncStep1) {
          // The answer to the server's step 1 is a step 2: it carries what the server lacks and is acknowledged.
          this.tries = 0;
          this.sendCounted(encoding.toUint8Array(reply));
        } else if (kind === sync.messageYjsSyncStep2) {
          this.synced = true;
          this.report();
        }
        return;
      }
      case ACK:
        this.acked = decoding.readVarUint(decoder);
        this.report();
        return;
      case REFUSED: {
        const body = JSON.parse(decoding.readVarString(decoder)) as { detail: string };
        this.set({ kind: "refused", detail: body.detail });
        return;
      }
      case AWARENESS:
      default:
        return;
    }
  }

  private sendCounted(frame: Uint8Array): void {
    this.sent += 1;
    this.socket?.send(frame);
    this.report();
  }

  private report(): void {
    if (this.state.kind === "refused") return;
    if (!this.ready()) this.set({ kind: "offline" });
    else if (this.settled) this.set({ kind: "saved", at: new Date() });
    else this.set({ kind: "saving" });
  }

  private set(state: SaveState): void {
    if (state.kind === "saved" && this.state.kind === "saved") return;
    if (state.kind === this.state.kind && state.kind !== "refused") return;
    this.state = state;
    this.onState(state);
  }
}
