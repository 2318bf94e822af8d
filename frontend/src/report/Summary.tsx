/** The head of the report: the level, why, and where each question stands. */
import { shown } from "../shared/shown";
import type { Criterion, Report } from "../shared/types";
import { when } from "../shared/when";
import { Bands, label } from "./Bands";
import { Meter } from "./CriterionView";

/** Whether a person stands behind the points. A score that is newer than the review is nobody's yet. */
function Reviewed({ report }: { report: Report }) {
  if (report.interview.status !== "published") return <span className="badge">not yet reviewed by a person</span>;
  return report.publish_again ? <span className="badge warn">scored again since the review</span> : <span className="badge good">reviewed</span>;
}

/** What a meter says that has no words beside it. */
function told({ title, points, max }: Criterion): { title: string; "aria-label": string } {
  const words = `${title}: ${shown(points)} of ${shown(max)}`;
  return { title: words, "aria-label": words };
}

export function Summary({ report }: { report: Report }) {
  const { interview } = report;
  return (
    <header className="stack">
      <p className="small soft" style={{ marginBottom: 0 }}>
        <bdi>{interview.candidate}</bdi>
        {interview.finished_at && ` · ${when(interview.finished_at)}`}
      </p>
      <div className="row between">
        <h1 style={{ margin: 0 }}>{interview.title}</h1>
        <Reviewed report={report} />
      </div>
      <div className="card">
        <p style={{ fontSize: "var(--hero)", fontWeight: 680, lineHeight: 1, margin: "0 0 var(--s2)", letterSpacing: "-0.03em" }}>
          {report.scaled_28 === null ? "Not scored yet" : label(report.level, report.bands)}
          {report.provisional && report.scaled_28 !== null && <span className="badge warn" style={{ marginLeft: "var(--s3)", verticalAlign: "middle" }}>provisional</span>}
        </p>
        <p role="status">{report.why}</p>
        <p className="small"><a href="/marking/">How answers are marked</a></p>
        <Bands scaled={report.scaled_28} bands={report.bands} level={report.level} set={report.level_set} />
      </div>
      <div className="card scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Question</th>
              <th scope="col">Criteria</th>
              <th scope="col" className="num">
                Points
              </th>
              <th scope="col">Level</th>
            </tr>
          </thead>
          <tbody>
            {report.questions.map((question) => (
              <tr key={question.id}>
                <td>
                  <a href={`#q-${question.id}`}>{question.title}</a> <span className="soft small">{question.kind}</span>
                </td>
                <td>
                  <span className="row" style={{ gap: "var(--s2)", minHeight: "1lh" }}>
                    {question.score?.criteria.map((criterion) => (
                      <span key={criterion.id} role="img" style={{ width: "2.2rem" }} {...told(criterion)}>
                        <Meter points={criterion.points} max={criterion.max} />
                      </span>
                    ))}
                  </span>
                </td>
                <td className="num whole">{question.score?.total != null ? `${shown(question.score.total)} / ${shown(question.score.max)}` : "—"}</td>
                <td>{question.score ? (question.score.state === "not_scored" ? "not scored" : label(question.score.level, question.score.bands)) : "being graded"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </header>
  );
}
