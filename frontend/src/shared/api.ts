/** The site's HTTP interface: JSON, session cookie, CSRF token. */
import type { Interview, LogEvent, Report, Run } from "./types";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
    readonly retryAfter: number | null,
  ) {
    super(message);
  }
}

function csrf(): string {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
}

async function call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": csrf() },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError("The server can't be reached. Your text is kept on this device; try again in a moment.", "offline", 0, null);
  }
  const data: unknown = await response.json().catch(() => null);
  if (response.ok) return data as T;
  const problem = (data ?? {}) as { detail?: string; code?: string; retry_after?: number };
  throw new ApiError(problem.detail ?? "The server failed. Try again in a moment.", problem.code ?? "error", response.status, problem.retry_after ?? null);
}

const base = (id: string): string => `/api/interviews/${id}/`;

export const api = {
  state: (id: string) => call<Interview>("GET", base(id)),
  start: (id: string) => call<Interview>("POST", `${base(id)}start/`, {}),
  finish: (id: string) => call<Interview>("POST", `${base(id)}finish/`, {}),
  events: (id: string, since: number) => call<{ seq: number; events: LogEvent[] }>("GET", `${base(id)}events/?since=${since}`),
  run: (id: string, question: string, kind: "public" | "hidden") => call<Run>("POST", `${base(id)}questions/${question}/runs/`, { kind }),
  quantity: (text: string) => call<{ read?: string; problem?: string }>("GET", `/api/quantity/?${new URLSearchParams({ text }).toString()}`),
  runDetail: (id: string) => call<Run>("GET", `/api/runs/${id}/`),
  abort: (id: string) => call<Run>("POST", `/api/runs/${id}/abort/`, {}),
  report: (id: string) => call<Report>("GET", `${base(id)}report/`),
  /** `after`: the id of the last change of the criterion that the interviewer saw, 0 for none. */
  override: (id: string, body: { score_id: string; after: number; criterion_id: string; points: number; reason: string }) =>
    call<Report>("POST", `${base(id)}overrides/`, body),
  /** Points for every criterion of an answer that could not be scored. */
  mark: (id: string, body: { score_id: string; points: Record<string, number>; reason: string }) => call<Report>("POST", `${base(id)}marks/`, body),
  note: (id: string, body: { text: string; question_id: string | null }) => call<Report>("POST", `${base(id)}notes/`, body),
  /** `scores`: the ids of those that the interviewer looked at, `seen`: the report's `seq`; the server refuses when there is more by now. */
  publish: (id: string, body: { scores: string[]; seen: number }) => call<Report>("POST", `${base(id)}publish/`, body),
  rescore: (id: string) => call<Report>("POST", `${base(id)}rescore/`, {}),
};
