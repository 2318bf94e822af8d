/** A report that keeps itself fresh while answers are still being graded. */
import { useCallback, useEffect, useState } from "react";
import { Doorbell, socketUrl } from "../room/doorbell";
import { api } from "../shared/api";
import type { Report } from "../shared/types";

export function useReport(id: string): { report: Report | null; problem: string | null; act: (call: () => Promise<Report>) => Promise<boolean> } {
  const [report, setReport] = useState<Report | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const act = useCallback(async (call: () => Promise<Report>): Promise<boolean> => {
    try {
      setReport(await call());
      setProblem(null);
      return true;
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
      return false;
    }
  }, []);
  useEffect(() => {
    const refresh = (): void => void act(() => api.report(id));
    refresh();
    let seen = -1;
    const bell = new Doorbell(
      socketUrl(`/ws/interviews/${id}/`),
      (message) => {
        if (!("seq" in message) || message.seq === seen) return;
        if (seen >= 0) refresh();
        seen = message.seq;
      },
      () => undefined,
    );
    return () => bell.close();
  }, [act, id]);
  return { report, problem, act };
}
