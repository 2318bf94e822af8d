/** What the desk's forms share: one request at a time, why it failed, and text that nobody has stored. */
import { useEffect, useState } from "react";

export interface Action {
  busy: boolean;
  /** Why the last one failed, until the next one begins. */
  problem: string | null;
  /** Makes the call, which returns why it failed or null; while one is under way, nothing. True when it worked. */
  run: (call: () => Promise<string | null>) => Promise<boolean>;
  forget: () => void;
}

export function useAction(): Action {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const run = async (call: () => Promise<string | null>): Promise<boolean> => {
    if (busy) return false;
    setBusy(true);
    setProblem(null);
    const failed = await call();
    setBusy(false);
    setProblem(failed);
    return failed === null;
  };
  return { busy, problem, run, forget: () => setProblem(null) };
}

/** Asks before the page is left while `open` says that something typed is not stored. */
export function useUnsaved(open: boolean): void {
  useEffect(() => {
    if (!open) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [open]);
}
