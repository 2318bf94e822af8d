/**
 * One answer's document over one socket. y-websocket's protocol with two messages more: the server acknowledges each frame that carried an update once
 * it is stored, and refuses what it will not store. "Saved" means that every frame sent on this connection was acknowledged; until then the text lives
 * in this browser's IndexedDB as well.
 *
 * What a connection lost, refused or never carried is not repeated frame by frame: a new connection begins with what the server says that it has, and
 * the answer to that is all that it lacks. So every trouble but the final ones is mended by a new connection.
 */
import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";

const SYNC = 0;
const AWARENESS = 1;
const ACK = 2;
const REFUSED = 3;
const BATCH_MS = 80;
const RESYNC_MS = 1000; // from an edit after a refusal to the next try
const BACKOFF_MS = [300, 700, 1500, 3000, 6000];
const MAX_FRAME_BYTES = 2 * 1024 * 1024; // the server's MAX_UPDATE_BYTES
const OPENING_MS = 20_000; // for a line to open
const PATIENCE_MS = 8000; // for a word that is due on an open one, before it is held to be dead
const SLOW_LINE = 32; // bytes a millisecond: what is under way has that much longer
const MAX_SILENCES = 3;
const TOO_LARGE = "The change is larger than 2 MiB and was not saved. Undo the last paste and go on.";
const FINAL_REFUSALS = new Set(["deadline", "read_only"]);
const SIGNED_OUT = 4401;
const CLOSED: Record<number, { detail: string; final: boolean }> = {
  [SIGNED_OUT]: { detail: "You are signed out. Sign in in another tab, then come back to this one. Your text is kept on this device.", final: false },
  4404: { detail: "This answer is not yours to edit.", final: true },
};

export type SaveState =
  | { kind: "saving" }
  | { kind: "saved"; at: Date }
  | { kind: "offline" }
  /** `final`: nothing that is written here can be stored any more. */
  | { kind: "refused"; detail: string; final: boolean };

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

/**
 * What `doc` has and a document with the state vector `theirs` lacks, as an update. Deleted text is left out, though this page still has it so that a
 * deletion can be undone: a paste that was too large must not be sent for ever after it was taken back.
 */
export function lacking(doc: Y.Doc, theirs: Uint8Array): Uint8Array {
  const copy = new Y.Doc();
  Y.applyUpdate(copy, Y.encodeStateAsUpdate(doc));
  return Y.encodeStateAsUpdate(copy, theirs);
}

export class AnswerProvider {
  state: SaveState = { kind: "offline" };
  synced = false;
  private socket: SocketLike | null = null;
  /** The sizes of the frames that await the server's word, oldest first: it answers in the order in which they were sent. */
  private inFlight: number[] = [];
  private acked = 0;
  private tries = 0;
  /** How often in a row the line was given up for silence. */
  private silences = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private batchTimer: ReturnType<typeof setTimeout> | undefined;
  private pending: Uint8Array[] = [];
  private closed = false;
  private ended = false;

  constructor(
    private readonly url: string,
    readonly doc: Y.Doc,
    private readonly onState: (state: SaveState) => void,
    private readonly open: (url: string) => SocketLike = (url) => new WebSocket(url) as SocketLike,
  ) {
    doc.on("update", this.onUpdate);
    this.connect();
  }

  /** Sends what waits now, such as before the page goes away. */
  flush = (): void => {
    if (!this.pending.length || !this.ready()) return;
    const update = Y.mergeUpdates(this.pending);
    this.forgetPending();
    // Too large for a frame may still be little news to the server: what it says on a new connection decides.
    if (!this.transmit(sync.messageYjsUpdate, update)) this.connect();
  };

  get settled(): boolean {
    return this.ready() && this.synced && !this.inFlight.length && !this.pending.length && this.state.kind !== "refused";
  }

  /** Tries again at once, as when the page is looked at again; `anew` if the line that seems to stand is not to be trusted. */
  retry = (anew = false): void => {
    if (this.closed || this.final || (this.socket && !anew)) return;
    this.tries = 0;
    this.connect();
  };

  /** The interview is over: what was refused is tried once more, in case it was taken back, and a refusal from now on is final. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (this.state.kind === "refused") this.retry(true);
  }

  destroy(): void {
    this.flush();
    this.closed = true;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    clearTimeout(this.batchTimer);
    this.doc.off("update", this.onUpdate);
    this.socket?.close();
  }

  private get final(): boolean {
    return this.state.kind === "refused" && this.state.final;
  }

  private onUpdate = (update: Uint8Array, origin: unknown): void => {
    if (origin === this || this.final) return;
    if (this.state.kind === "refused") {
      this.tryLater();
      return;
    }
    this.pending.push(update);
    this.report();
    this.batchTimer ??= setTimeout(this.flush, BATCH_MS);
  };

  private tryLater(): void {
    this.batchTimer ??= setTimeout(() => {
      this.forgetPending();
      this.retry(true);
    }, RESYNC_MS);
  }

  private forgetPending(): void {
    clearTimeout(this.batchTimer);
    this.batchTimer = undefined;
    this.pending = [];
  }

  private ready(): boolean {
    return this.socket !== null && this.socket.readyState === 1;
  }

  private connect(): void {
    const old = this.socket;
    this.socket = null;
    old?.close();
    clearTimeout(this.timer);
    const socket = this.open(this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    this.inFlight = [];
    this.acked = 0;
    this.synced = false;
    socket.onopen = () => {
      if (this.socket !== socket) return;
      // Step 1 asks for what this side lacks; the server's own step 1 asks for what it lacks, waiting updates included.
      this.forgetPending();
      const frame = encoding.createEncoder();
      encoding.writeVarUint(frame, SYNC);
      sync.writeSyncStep1(frame, this.doc);
      socket.send(encoding.toUint8Array(frame));
      this.report();
      this.listen(true);
    };
    socket.onmessage = (event: MessageEvent) => {
      if (this.socket !== socket) return;
      this.receive(new Uint8Array(event.data as ArrayBuffer));
      this.listen(true);
    };
    socket.onclose = (event: CloseEvent) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.synced = false;
      this.listen(true);
      const why = CLOSED[event.code];
      if (why) this.refuse(why.detail, why.final, event.code === SIGNED_OUT);
      else this.report();
      if (this.closed || why || this.final) return;
      const delay = BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)]!;
      this.timer = setTimeout(() => this.connect(), delay * (0.75 + Math.random() / 2));
    };
    this.report();
    this.listen(true);
  }

  /**
   * Waits for the line to open or for the server's next word while one is due, from now on or (not `anew`) as before. A line can be dead without ever
   * closing; then only a new one helps. It is given the longer the more is under way and the more often it was silent: a slow one is not dropped for ever.
   */
  private listen(anew: boolean): void {
    if (!anew && this.watch !== undefined) return;
    clearTimeout(this.watch);
    this.watch = undefined;
    if (!this.socket || (this.synced && !this.inFlight.length)) return;
    const bytes = this.inFlight.reduce((sum, size) => sum + size, 0);
    const patience = this.ready() ? (PATIENCE_MS + bytes / SLOW_LINE) * 2 ** this.silences : OPENING_MS;
    this.watch = setTimeout(() => {
      this.silences = Math.min(this.silences + 1, MAX_SILENCES);
      this.connect();
    }, patience);
  }

  private receive(data: Uint8Array): void {
    const decoder = decoding.createDecoder(data);
    switch (decoding.readVarUint(decoder)) {
      case SYNC: {
        const kind = decoding.readVarUint(decoder);
        if (kind === sync.messageYjsSyncStep1) {
          // The answer is a step 2: it carries all that the server lacks, is acknowledged, and makes good what was refused before.
          const update = lacking(this.doc, decoding.readVarUint8Array(decoder));
          this.forgetPending();
          if (!this.transmit(sync.messageYjsSyncStep2, update)) this.refuse(TOO_LARGE, false);
          return;
        }
        sync.readUpdate(decoder, this.doc, this);
        if (kind === sync.messageYjsSyncStep2) this.synced = true;
        this.report();
        return;
      }
      case ACK: {
        const acked = decoding.readVarUint(decoder);
        this.inFlight.splice(0, acked - this.acked);
        this.acked = acked;
        this.tries = this.silences = 0;
        this.report();
        return;
      }
      case REFUSED: {
        const body = JSON.parse(decoding.readVarString(decoder)) as { code: string; detail: string };
        this.inFlight.shift();
        // What was written since may have taken it back.
        const more = this.inFlight.length > 0 || this.pending.length > 0;
        this.refuse(body.detail, FINAL_REFUSALS.has(body.code));
        if (more && !this.final) this.tryLater();
        return;
      }
      case AWARENESS:
      default:
        return;
    }
  }

  /** Sends an update, or says that it is too large for one frame. */
  private transmit(kind: number, update: Uint8Array): boolean {
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, SYNC);
    encoding.writeVarUint(frame, kind);
    encoding.writeVarUint8Array(frame, update);
    const bytes = encoding.toUint8Array(frame);
    if (bytes.length > MAX_FRAME_BYTES) return false;
    this.inFlight.push(bytes.length);
    this.set({ kind: "saving" });
    this.socket?.send(bytes);
    this.listen(false);
    return true;
  }

  /** `passing`: a refusal for a reason that can still be mended when the interview is over. */
  private refuse(detail: string, final: boolean, passing = false): void {
    this.forgetPending();
    this.set({ kind: "refused", detail, final: final || (this.ended && !passing) });
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
