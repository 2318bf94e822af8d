/** A report that keeps itself fresh. */
import { useEffect, useMemo, useState } from "react";
import { socketUrl } from "../room/doorbell";
import { api } from "../shared/api";
import type { Report } from "../shared/types";
import { Feed, keepFresh, type Shown } from "./feed";

export function useReport(id: string): { report: Report | null; problem: string | null; act: Feed["act"] } {
  const [shown, setShown] = useState<Shown | null>(null);
  const feed = useMemo(() => new Feed(() => api.report(id), setShown), [id]);
  useEffect(() => keepFresh(feed, socketUrl(`/ws/interviews/${id}/`)), [feed, id]);
  return { report: shown?.report ?? null, problem: shown?.failedLoad ?? null, act: feed.act };
}
