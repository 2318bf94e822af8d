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

export function apply(state: Interview, events: LogEvent[]): Interview {
  for (const event of events) {
    if (event.seq <= state.seq) continue;
    state = { ...state, ...event.body.state, seq: event.seq };
    if (event.body.run) state = withRun(state, event.body.run);
  }
  return state;
}
