import { createRoot } from "react-dom/client";
import { Page } from "../shared/Boundary";
import { QuestionView } from "./QuestionView";
import { Summary } from "./Summary";
import { useReport } from "./useReport";

function ReportPage({ id }: { id: string }) {
  const { report, problem } = useReport(id);
  return (
    <div className="wrap page">
      {problem && (
        <p className="banner bad" role="alert">
          {problem}
        </p>
      )}
      {!report && !problem && (
        <p className="soft">
          <span className="spinner" aria-hidden="true" /> Loading the report…
        </p>
      )}
      {report && (
        <>
          <Summary report={report} />
          {report.notes.length > 0 && (
            <section className="card" style={{ marginTop: "var(--s4)" }}>
              <h2>From the interviewer</h2>
              {report.notes.map((note) => (
                <p key={note.id} className="written">
                  {note.text} <span className="soft small"><bdi>{note.by}</bdi></span>
                </p>
              ))}
            </section>
          )}
          {report.questions.map((question) => (
            <QuestionView key={question.id} question={question} />
          ))}
          <p className="no-print" style={{ marginTop: "var(--s6)" }}>
            <button type="button" onClick={() => print()}>
              Print
            </button>
          </p>
        </>
      )}
    </div>
  );
}

const host = document.getElementById("report");
if (host?.dataset.interview)
  createRoot(host).render(
    <Page>
      <ReportPage id={host.dataset.interview} />
    </Page>,
  );
