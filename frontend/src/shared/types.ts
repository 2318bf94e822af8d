/** What the server sends. docs/architecture.md is the reference. */

export type Status = "ready" | "running" | "grading" | "scored" | "published";
export type Kind = "written" | "design" | "debug" | "estimate" | "quickfire" | "whiteboard" | "code";

export interface TestResult {
  name: string;
  group: string;
  verdict: string;
  points: number;
  max_points: number;
  seconds: number;
  message: string;
  stdout: string;
}

export interface FlightStep {
  t: number;
  requests: { id: number; prefill: number; decode: number; drafted: number; accepted: number }[];
  blocks_used: number;
  blocks_free: number;
  hits: number;
  preempted: number[];
}

export interface Flight {
  steps: FlightStep[];
  total_blocks: number;
  truncated: boolean;
}

export interface Run {
  id: string;
  question_id: string;
  kind: "public" | "hidden";
  state: "QU" | "PR" | "GR" | "D";
  verdict: string | null;
  score: number;
  max_score: number;
  position: number | null;
  expected_wait_s: number | null;
  queued_at: string;
  finished_at: string | null;
  message: string;
  planned: number;
  tests: TestResult[];
  flight: Flight | null;
}

export interface Question {
  id: string;
  position: number;
  kind: Kind;
  title: string;
  minutes: number;
  prompt_html: string;
  answer_id: string;
  fields: { id: string; label: string; hint: string }[];
  lab: null | { slug: string; title: string; brief_html: string; starter: string; public_tests: { name: string; group: string; doc: string }[] };
  runs: Run[];
}

export interface Interview {
  id: string;
  title: string;
  level: string;
  status: Status;
  seq: number;
  remaining_ms: number;
  duration_ms: number;
  can_write: boolean;
  sandbox: { ok: boolean; reason: string };
  questions: Question[];
  outline: { position: number; kind: Kind; minutes: number }[];
}

export interface LogEvent {
  seq: number;
  kind: string;
  actor: string | null;
  body: { state?: Partial<Interview>; run?: Run };
  at: string;
}

export type Channel = "text" | "code" | "fields" | "scene";

export interface Criterion {
  id: string;
  title: string;
  points: number;
  auto_points: number;
  max: number;
  levels: string[];
  evidence: { channel: Channel; start: number; end: number; text: string; field?: string }[];
  reason: string;
  missed: string[];
  /** The scorer's own chance that a careful reader would give these points; 1 where nothing is left open. */
  confidence: number | null;
  /** What a reviewer should look at first: claims counted or missed by little, and what may be a wrong statement; nothing for the candidate. */
  unsure: { kind: "counted" | "missed" | "wrong" | "unlisted"; id: string; text: string; words: string }[];
  override: null | { id: number; points: number; reason: string; by: string; at: string };
}

export interface Score {
  id: string;
  total: number | null;
  auto_total: number | null;
  max: number;
  level: string;
  level_set: string[];
  state: "scored" | "review" | "not_scored";
  /** An interviewer changed it or published it: the scorer's doubts are over. */
  settled: boolean;
  flags: string[];
  reason: string;
  scorer: string;
  /** Why a later rescore failed, when one did and this score stands. */
  rescore_failed: string | null;
  /** What the score before a rescore said, changes by people included. */
  before: null | { total: number; scorer: string; at: string; points: Record<string, number> };
  bands: Record<string, number>;
  version: { question: string; rubric: string };
  criteria: Criterion[];
  /** What a reviewer can give points for where there is no score. */
  to_mark: Pick<Criterion, "id" | "title" | "max" | "levels">[];
}

export interface ReportQuestion {
  id: string;
  position: number;
  kind: Kind;
  title: string;
  minutes: number;
  prompt_html: string;
  answer: { text: string; code: string; fields: Record<string, string>; scene: string };
  field_labels: Record<string, string>;
  model_answer_html: string;
  /** Whether what was missed, what interviewers wrote and the model answer are left out, for the question is open in another interview. */
  withheld: boolean;
  run: Run | null;
  score: Score | null;
  /** A newer score is on its way. */
  rescoring: boolean;
}

export interface Report {
  interview: { id: string; title: string; level: string; candidate: string; finished_at: string | null; status: Status };
  /** The number of the last event that this shows. */
  seq: number;
  total: number;
  max: number;
  scaled_28: number | null;
  level: string;
  level_set: string[];
  provisional: boolean;
  why: string;
  bands: Record<string, number>;
  can_review: boolean;
  /** Published, but not with all of these scores. */
  publish_again: boolean;
  notes: { id: number; by: string; text: string; at: string; question_id: string | null }[];
  questions: ReportQuestion[];
}
