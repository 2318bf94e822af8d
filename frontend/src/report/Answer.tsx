/** The answer with the words that earned points marked; a mark and its criterion light up together. */
import { useMemo } from "react";
import { Drawing } from "../shared/Drawing";
import { earnedBy, pieces } from "../shared/highlight";
import { type BoardElement, drawables } from "../shared/scene";
import type { Channel, Criterion, ReportQuestion } from "../shared/types";

/** The elements of a stored scene; none when it can't be read, which the score's reason says. */
function elementsOf(scene: string): BoardElement[] {
  try {
    const found = (JSON.parse(scene) as { elements?: unknown }).elements;
    return Array.isArray(found) ? drawables(found) : [];
  } catch {
    return [];
  }
}

interface Props {
  question: ReportQuestion;
  active: string | null;
  onPick: (criterion: string) => void;
}

/** Words that earned points, for the criteria that they did; without any, just the words. */
function Earned({ text, by, active, onPick }: Pick<Props, "active" | "onPick"> & { text: string; by: Criterion[] }) {
  if (!by.length) return <span>{text}</span>;
  return (
    <mark className={by.some(({ id }) => id === active) ? "active" : ""} title={by.map(({ title }) => title).join(", ")} onClick={() => onPick(by[0]!.id)}>
      {text}
    </mark>
  );
}

function Marked({ text, channel, question, active, onPick }: Props & { text: string; channel: Channel }) {
  const criteria = question.score?.criteria ?? [];
  const found = useMemo(() => pieces(text, criteria, channel), [text, criteria, channel]);
  return (
    <div className={`answer ${channel === "code" ? "code-answer" : ""}`} tabIndex={channel === "code" ? 0 : undefined}>
      {found.map((piece, index) => (
        <Earned key={index} text={piece.text} by={criteria.filter(({ id }) => piece.criteria.includes(id))} active={active} onPick={onPick} />
      ))}
    </div>
  );
}

/** What was drawn, which needs more room than half of the page. */
export function Drawn({ question }: { question: ReportQuestion }) {
  const elements = useMemo(() => elementsOf(question.answer.scene), [question.answer.scene]);
  if (!elements.length) return null;
  return (
    <div className="card">
      <Drawing loading={<p className="soft">The drawing is loading.</p>} elements={elements} label={`The drawing for ${question.title}`} readOnly />
    </div>
  );
}

export function AnswerView(props: Props) {
  const { answer, field_labels: labels, score } = props.question;
  const drawn = useMemo(() => elementsOf(answer.scene).length > 0, [answer.scene]);
  // In the order in which they were asked.
  const fields = Object.keys({ ...labels, ...answer.fields }).flatMap((id) => (answer.fields[id]?.trim() ? [[id, answer.fields[id]] as const] : []));
  if (!answer.text.trim() && !answer.code.trim() && !fields.length) return <p className="empty">{drawn ? "Nothing was written beside the drawing." : "Nothing was written."}</p>;
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
        <table className="filled">
          <tbody>
            {fields.map(([id, value]) => (
              <tr key={id}>
                <th scope="row">{labels[id] ?? id}</th>
                <td className="mono written">
                  <Earned text={value} by={earnedBy(id, value, score?.criteria ?? [])} active={props.active} onPick={props.onPick} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {answer.text.trim() && <Marked {...props} text={answer.text} channel="text" />}
    </div>
  );
}
