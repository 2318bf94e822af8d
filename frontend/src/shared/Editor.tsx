/** CodeMirror on a Y.Text: prose or Python. Tab indents in code; Escape, then Tab, leaves the editor. */
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { markdown } from "@codemirror/lang-markdown";
import { python } from "@codemirror/lang-python";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";
import { useEffect, useId, useRef } from "react";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import type * as Y from "yjs";

const theme = EditorView.theme({
  "&": { backgroundColor: "var(--surface)", color: "var(--ink)" },
  ".cm-scroller": { fontFamily: "inherit", lineHeight: "1.6", overflow: "auto" },
  // As high as the editor, which is higher than a few lines: the place below them is to be clicked as well.
  ".cm-scroller, .cm-content, .cm-gutters": { minHeight: "inherit" },
  ".cm-content": { caretColor: "var(--accent)", padding: "0.75rem 0" },
  ".cm-line": { padding: "0 1rem" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--accent) 26%, transparent) !important",
  },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--soft)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--soft) 8%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)" },
  ".cm-placeholder": { color: "var(--soft)" },
});
const colours = HighlightStyle.define([
  { tag: [t.keyword, t.operatorKeyword, t.controlKeyword], color: "var(--accent)", fontWeight: "560" },
  { tag: [t.string, t.special(t.string)], color: "var(--good)" },
  { tag: [t.number, t.bool, t.null], color: "var(--info)" },
  { tag: [t.comment, t.meta], color: "var(--soft)", fontStyle: "italic" },
  { tag: [t.definition(t.variableName), t.function(t.definition(t.variableName)), t.className], color: "var(--warn)" },
  { tag: t.heading, fontWeight: "650" },
  { tag: t.strong, fontWeight: "650" },
  { tag: t.emphasis, fontStyle: "italic" },
  { tag: t.monospace, fontFamily: "var(--mono)", fontSize: "0.9em" },
  { tag: t.processingInstruction, color: "var(--soft)", fontFamily: "var(--mono)", fontSize: "0.9em", fontStyle: "normal" },
]);

interface Props {
  text: Y.Text;
  /** Outlives the editor, so that what was typed can be undone after another question was looked at. */
  undo: Y.UndoManager;
  language: "prose" | "python";
  label: string;
  readOnly: boolean;
  hint?: string;
  keys?: { key: string; run: () => boolean }[];
}

export function Editor({ text, undo, language, label, readOnly, hint, keys }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const frozen = useRef(new Compartment());
  const latestKeys = useRef(keys);
  latestKeys.current = keys;
  const hintId = useId();

  useEffect(() => {
    const code = language === "python";
    const extraKeys = (latestKeys.current ?? []).map(({ key }) => ({
      key,
      run: () => latestKeys.current?.find((item) => item.key === key)?.run() ?? false,
    }));
    const editor = new EditorView({
      parent: host.current!,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          keymap.of([...extraKeys, ...yUndoManagerKeymap, ...(code ? [indentWithTab] : []), ...defaultKeymap]),
          ...(code ? [lineNumbers(), python(), indentUnit.of("    "), indentOnInput(), bracketMatching(), highlightActiveLine()] : [markdown(), EditorView.lineWrapping]),
          drawSelection(),
          syntaxHighlighting(colours),
          theme,
          placeholder(code ? "" : "Write here. Markdown is fine."),
          EditorView.contentAttributes.of({ tabindex: "0", "aria-label": label, "aria-describedby": hintId, spellcheck: code ? "false" : "true" }),
          frozen.current.of([EditorState.readOnly.of(readOnly), EditorView.editable.of(!readOnly)]),
          yCollab(text, null, { undoManager: undo }),
          // The page's bar lies over its top: what is scrolled to must come out below it.
          EditorView.scrollMargins.of(() => ({ top: document.querySelector<HTMLElement>(".bar")?.offsetHeight ?? 0 })),
        ],
      }),
    });
    view.current = editor;
    return () => {
      editor.destroy();
      view.current = null;
    };
    // The editor belongs to the text; other changes are handed over below.
  }, [text, undo, language, label]);

  useEffect(() => {
    view.current?.dispatch({ effects: frozen.current.reconfigure([EditorState.readOnly.of(readOnly), EditorView.editable.of(!readOnly)]) });
  }, [readOnly]);

  return (
    <div className={language === "python" ? "code mono" : ""}>
      <div ref={host} />
      <p id={hintId} className="hint" style={{ padding: "0 var(--s4) var(--s2)" }}>
        {hint ?? (language === "python" ? "Tab indents. Press Escape, then Tab, to leave the editor." : "")}
      </p>
    </div>
  );
}
