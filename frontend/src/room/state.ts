/** The room's state: a fresh one from the server, or an old one and the events since. Both ways lead to the same. */
import type { Interview, LogEvent, Run } from "../shared/types";

export function withRun(state: Interview, run: Run): Interview {
  return {
    ...state,
    questions: state.questions.map((question) => {
      if (question.id !== run.question_id) return question;
      const known = question.runs.some((old) => old.id === run.id);
      return { ...question, runs: known ? question.runs.map((old) => (old.id === run.id ? run : old)) : [...question.runs, run] };
    }),
  };
}

const ORDER: Run["state"][] = ["QU", "PR", "GR", "D"];

/**
 * The state with what a request said of a run. Unlike the events, which come in the order in which things happened, an answer may come late: one that
 * is behind what is known of the run changes nothing.
 */
export function withAnswer(state: Interview, run: Run): Interview {
  const known = state.questions.flatMap((question) => question.runs).find((old) => old.id === run.id);
  const ahead = known ? ORDER.indexOf(known.state) - ORDER.indexOf(run.state) || known.tests.length - run.tests.length : 0;
  return ahead > 0 ? state : withRun(state, run);
}

export function apply(state: Interview, events: LogEvent[]): Interview {
  for (const event of events) {
    if (event.seq <= state.seq) continue;
    state = { ...state, ...event.body.state, seq: event.seq };
    if (event.body.run) state = withRun(state, event.body.run);
  }
  return state;
}
