import * as decoding from "lib0/decoding";
import * as encoding from "lib0/encoding";
import { expect } from "vitest";
import * as sync from "y-protocols/sync";
import type * as Y from "yjs";

/** The server's side of the protocol, in this process. */
export class FakeServer {
  static all: FakeServer[] = [];
  binaryType = "arraybuffer" as BinaryType;
  readyState = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  stored = 0;
  /** Stores without saying so. */
  silent = false;
  /** The size of each frame that came. */
  frames: number[] = [];
  /** What the answer to an update is instead of storing it. */
  refusing: { code: string; detail: string } | null = null;

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
    this.frames.push(frame.length);
    const decoder = decoding.createDecoder(frame);
    expect(decoding.readVarUint(decoder)).toBe(0);
    if (this.refusing && frame[1] !== sync.messageYjsSyncStep1) {
      this.refuse(this.refusing.detail, this.refusing.code);
      return;
    }
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

  refuse(detail: string, code = "deadline"): void {
    const frame = encoding.createEncoder();
    encoding.writeVarUint(frame, 3);
    encoding.writeVarString(frame, JSON.stringify({ code, detail }));
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
