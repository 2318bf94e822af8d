import * as encoding from "lib0/encoding";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as sync from "y-protocols/sync";
import * as Y from "yjs";
import { FakeServer } from "./fakeServer";
import { AnswerProvider, lacking } from "./provider";

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
    provider = new AnswerProvider("ws://x", doc, () => undefined, () => new FakeServer(server));
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
    expect(provider.state).toEqual({ kind: "refused", detail: "The time is over.", final: true });
  });

  it("sends nothing more once the time is over", () => {
    last().accept();
    last().refusing = { code: "deadline", detail: "The time is over." };
    doc.getText("text").insert(0, "too late");
    vi.advanceTimersByTime(200);
    const frames = last().frames.length;
    doc.getText("text").insert(0, "later still ");
    vi.advanceTimersByTime(60_000);
    provider.retry(true);
    expect([FakeServer.all.length, last().frames.length]).toEqual([1, frames]);
    expect(provider.settled).toBe(false);
  });

  it("does not come back by itself when it is signed out, but does for whoever signed in again and came back", () => {
    last().close(4401);
    const count = FakeServer.all.length;
    doc.getText("text").insert(0, "while signed out");
    expect(provider.state).toMatchObject({ kind: "refused", final: false });
    provider.retry();
    expect(FakeServer.all.length).toBe(count + 1);
    last().accept();
    expect(provider.state.kind).toBe("saved");
    doc.getText("text").insert(0, "and after: ");
    vi.advanceTimersByTime(200);
    expect(server.getText("text").toString()).toBe("and after: while signed out");
    expect(provider.settled).toBe(true);
  });

  it("stores what is typed after a paste that was too large was undone, and never sends the paste", () => {
    last().accept();
    const text = doc.getText("text");
    text.insert(0, "First. ");
    vi.advanceTimersByTime(200);
    const undo = new Y.UndoManager(text);
    text.insert(7, "x".repeat(2_200_000));
    vi.advanceTimersByTime(200);
    last().accept();
    expect(provider.state).toMatchObject({ kind: "refused", final: false });
    expect(provider.settled).toBe(false);
    text.insert(0, "Typed before the undo. ");
    vi.advanceTimersByTime(1_200);
    last().accept();
    expect(provider.state.kind).toBe("refused");
    undo.undo();
    text.insert(text.length, "Second.");
    vi.advanceTimersByTime(1_200);
    last().accept();
    expect(provider.state.kind).toBe("saved");
    expect(server.getText("text").toString()).toBe(text.toString());
    expect(text.toString()).toMatch(/First\. .*Second\.$/);
    expect(Math.max(...FakeServer.all.flatMap(({ frames }) => frames))).toBeLessThan(1000);
  });

  it.each([
    ["in this page", (): void => void doc.getText("text").insert(0, "x".repeat(2_200_000))],
    ["by the server", (): void => {
      last().refusing = { code: "too_large", detail: "Too large." };
      doc.getText("text").insert(0, "too scattered");
    }],
  ])("says of a change that was refused %s that it does not count once the interview is over", (_, write) => {
    last().accept();
    write();
    vi.advanceTimersByTime(200);
    if (last().readyState === 0) last().accept();
    expect(provider.state).toMatchObject({ kind: "refused", final: false });
    provider.end();
    last().refusing = { code: "deadline", detail: "The time is over." };
    last().accept();
    expect(provider.state).toMatchObject({ kind: "refused", final: true });
    vi.advanceTimersByTime(60_000);
    expect(provider.state).toMatchObject({ kind: "refused", final: true });
  });

  it("says nothing of the kind of what was taken back before the end, and of whoever is signed out", () => {
    last().accept();
    last().refusing = { code: "too_large", detail: "Too large." };
    const text = doc.getText("text");
    text.insert(0, "pasted");
    vi.advanceTimersByTime(200);
    text.delete(0, 6);
    provider.end();
    last().accept();
    expect(provider.state.kind).toBe("saved");
    last().close(4401);
    expect(provider.state).toMatchObject({ kind: "refused", final: false });
  });

  it("goes on after the server refused something that was taken back meanwhile", () => {
    last().accept();
    last().silent = true;
    const text = doc.getText("text");
    text.insert(0, "pasted");
    vi.advanceTimersByTime(200);
    text.delete(0, 6);
    last().refuse("This answer has grown too large to store.", "too_large");
    expect(provider.state.kind).toBe("refused");
    vi.advanceTimersByTime(1_200);
    last().accept();
    expect(provider.settled).toBe(true);
  });

  it("sends in the new connection's words what is too large for one frame but known to the server for the most part", () => {
    const text = server.getText("text");
    text.insert(0, "x".repeat(1_500_000));
    text.insert(0, "y".repeat(1_500_000));
    last().accept();
    Y.applyUpdate(doc, lacking(server, new Uint8Array([0])), "this device's copy");
    doc.getText("text").insert(0, "More. ");
    vi.advanceTimersByTime(200);
    if (provider.state.kind !== "saved") last().accept();
    expect(provider.state.kind).toBe("saved");
    expect(server.getText("text").toString().slice(0, 6)).toBe("More. ");
  });

  it("gives up a line that went silent, sooner for a few words than for a large paste", () => {
    last().accept();
    const dead = last();
    dead.send = () => undefined;
    doc.getText("text").insert(0, "words");
    vi.advanceTimersByTime(8_200);
    expect(FakeServer.all.length).toBe(2);
    last().accept();
    expect(provider.settled).toBe(true);
    expect(server.getText("text").toString()).toBe("words");
    last().silent = true;
    doc.getText("text").insert(0, "z".repeat(2_000_000));
    vi.advanceTimersByTime(60_000);
    expect(FakeServer.all.length).toBe(2);
    last().acknowledge();
    expect(provider.settled).toBe(true);
    vi.advanceTimersByTime(600_000);
    expect(FakeServer.all.length).toBe(2);
  });

  it.each([
    ["that never opens", () => undefined, [20, 20, 20, 20, 20]],
    ["that opens and says nothing", () => Object.assign(last(), { readyState: 1 }).onopen?.({} as Event), [8, 16, 32, 64, 64]],
  ])("waits for a line %s, but not for ever", (_, opens, expected) => {
    const waits: number[] = [];
    for (let tries = 0; tries < 5; tries++) {
      const count = FakeServer.all.length;
      last().send = () => undefined;
      opens();
      let ms = 0;
      for (; FakeServer.all.length === count && ms < 200_000; ms += 1_000) vi.advanceTimersByTime(1_000);
      waits.push(ms / 1_000);
    }
    expect(waits).toEqual(expected);
  });

  it("takes a new line when the network came back, whatever the old one seems", () => {
    last().accept();
    provider.retry();
    expect(FakeServer.all.length).toBe(1);
    provider.retry(true);
    expect(FakeServer.all.length).toBe(2);
    expect(FakeServer.all[0]!.readyState).toBe(3);
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
