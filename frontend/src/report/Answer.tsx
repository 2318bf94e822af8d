/** The answer with the words that earned points marked; a mark and its criterion light up together. */
import { useMemo } from "react";
import { pieces } from "../shared/highlight";
import type { Channel, ReportQuestion } from "../shared/types";

interface Props {
  question: ReportQuestion;
  active: string | null;
  onPick: (criterion: string) => void;
}

function Marked({ text, channel, question, active, onPick }: Props & { text: string; channel: Channel }) {
  const criteria = question.score?.criteria ?? [];
  const found = useMemo(() => pieces(text, criteria, channel), [text, criteria, channel]);
  return (
    <div className={`answer ${channel === "code" ? "code-answer" : ""}`} tabIndex={channel === "code" ? 0 : undefined}>
      {found.map((piece, index) =>
        piece.criteria.length ? (
          <mark
            key={index}
            className={active && piece.criteria.includes(active) ? "active" : ""}
            title={criteria.filter((criterion) => piece.criteria.includes(criterion.id)).map((criterion) => criterion.title).join(", ")}
            onClick={() => onPick(piece.criteria[0]!)}
          >
            {piece.text}
          </mark>
        ) : (
          <span key={index}>{piece.text}</span>
        ),
      )}
    </div>
  );
}

export function AnswerView(props: Props) {
  const { answer, field_labels: labels } = props.question;
  const fields = Object.entries(answer.fields).filter(([, value]) => value.trim());
  if (!answer.text.trim() && !answer.code.trim() && !fields.length) return <p className="empty">Nothing was written.</p>;
  return (
    <div className="stack">
      {answer.code.trim() && (
        <details open={!answer.text.trim()}>
          <summary>Code</summary>
          <div style={{ marginTop: "var(--s2)" }}>
            <Marked {...props} text={answer.code} channel="code" />
          </div>
        </details>
      )}
      {fields.length > 0 && (
        <table>
          <tbody>
            {fields.map(([id, value]) => (
              <tr key={id}>
                <th scope="row">{labels[id] ?? id}</th>
                <td className="mono">{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {answer.text.trim() && <Marked {...props} text={answer.text} channel="text" />}
    </div>
  );
}
