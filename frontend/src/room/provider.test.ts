import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";
import { AnswerProvider } from "./provider";

/** The server's side of the protocol, in this process. */
class FakeServer {
  static all: FakeServer[] = [];
  binaryType = "arraybuffer" as BinaryType;
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  stored = 0;
  silent = false;

  constructor(readonly doc: Y.Doc) {
    FakeServer.all.push(this);
  }

  accept(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
    const step1 = encoding.createEncoder();
    encoding.writeVarUint(step1, 0);
    sync.writeSyncStep1(step1, this.doc);
    this.say(encoding.toUint8Array(step1));
  }

  send(frame: Uint8Array): void {
    const decoder = decoding.createDecoder(frame);
    expect(decoding.readVarUint(decoder)).toBe(0);
    const reply = encoding.createEncoder();
    encoding.writeVarUint(reply, 0);
    const kind = sync.readSyncMessage(decoder, reply, this.doc, this);
    if (kind === sync.messageYjsSyncStep1) this.say(encoding.toUint8Array(reply));
    else if (!this.silent) this.acknowledge();
  }

  acknowledge(): void {
    this.stored += 1;
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, 2);
    encoding.writeVarUint(frame, this.stored);
    this.say(encoding.toUint8Array(frame));
  }

  refuse(detail: string): void {
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, 3);
    encoding.writeVarString(frame, JSON.stringify({ code: "deadline", detail }));
    this.say(encoding.toUint8Array(frame));
  }

  say(frame: Uint8Array): void {
    this.onmessage?.({ data: frame.slice().buffer } as MessageEvent);
  }

  close(code = 1006): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code } as CloseEvent);
  }
}

describe("the provider", () => {
  let server: Y.Doc;
  let doc: Y.Doc;
  let provider: AnswerProvider;
  const last = (): FakeServer => FakeServer.all.at(-1)!;

  beforeEach(() => {
    vi.useFakeTimers();
    FakeServer.all = [];
    server = new Y.Doc();
    doc = new Y.Doc();
    provider = new AnswerProvider("ws://x", doc, Y.mergeUpdates, () => undefined, () => new FakeServer(server));
  });
  afterEach(() => {
    provider.destroy();
    vi.useRealTimers();
  });

  it("says saved only when everything sent was acknowledged", () => {
    last().accept();
    expect(provider.state.kind).toBe("saved");
    last().silent = true;
    doc.getText("text").insert(0, "hello");
    expect(provider.state.kind).toBe("saving");
    vi.advanceTimersByTime(200);
    expect(server.getText("text").toString()).toBe("hello");
    expect(provider.state.kind).toBe("saving");
    last().acknowledge();
    expect(provider.state.kind).toBe("saved");
  });

  it("sends what was typed offline with the next connection", () => {
    last().accept();
    last().close();
    expect(provider.state.kind).toBe("offline");
    doc.getText("text").insert(0, "typed in a tunnel");
    vi.advanceTimersByTime(1_000);
    last().accept();
    expect(server.getText("text").toString()).toBe("typed in a tunnel");
    expect(provider.state.kind).toBe("saved");
  });

  it("sends again what was under way when the line broke", () => {
    last().accept();
    const broken = last();
    broken.send = () => undefined;
    doc.getText("text").insert(0, "lost on the way");
    vi.advanceTimersByTime(200);
    broken.close();
    vi.advanceTimersByTime(1_000);
    last().accept();
    expect(server.getText("text").toString()).toBe("lost on the way");
  });

  it("shows why an update was refused, and does not call it saved", () => {
    last().accept();
    last().silent = true;
    doc.getText("text").insert(0, "too late");
    vi.advanceTimersByTime(200);
    last().refuse("The time is over.");
    expect(provider.state).toEqual({ kind: "refused", detail: "The time is over." });
  });

  it("does not come back when it is signed out", () => {
    last().close(4401);
    const count = FakeServer.all.length;
    vi.advanceTimersByTime(60_000);
    expect(FakeServer.all.length).toBe(count);
    expect(provider.state.kind).toBe("refused");
  });

  it("does not send back what the server sent", () => {
    last().accept();
    const stored = last().stored;
    server.getText("text").insert(0, "from another tab");
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, 0);
    sync.writeUpdate(frame, Y.encodeStateAsUpdate(server));
    last().say(encoding.toUint8Array(frame));
    vi.advanceTimersByTime(500);
    expect(doc.getText("text").toString()).toBe("from another tab");
    expect(last().stored).toBe(stored);
  });
});
