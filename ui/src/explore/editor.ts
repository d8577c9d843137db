// CodeMirror with the store's tables. In a shadow root, where it adopts its style sheets: written into the document as
// <style> elements the Content-Security-Policy would refuse them.

import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Prec } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { basicSetup, EditorView } from "codemirror";

interface Hands {
  changed: (text: string) => void;
  run: () => void;
}

const TABLES = {
  access: ["ts", "user", "restricted", "peer", "method", "path", "asked", "status", "ms"],
  activity: ["ts", "source", "cluster", "namespace", "kind", "name", "actor", "action", "outcome", "summary", "id"],
  audit: [
    "ts",
    "cluster",
    "audit_id",
    "stage",
    "level",
    "verb",
    "user",
    "user_kind",
    "groups",
    "impersonated_user",
    "peer_ip",
    "user_agent",
    "api_group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "uid",
    "uri",
    "code",
    "reason",
    "message",
    "decision",
    "annotations",
  ],
  events: [
    "ts",
    "cluster",
    "uid",
    "type",
    "reason",
    "action",
    "message",
    "namespace",
    "kind",
    "object_name",
    "component",
    "count",
  ],
  objects: ["ts", "cluster", "kind", "namespace", "name", "uid", "resource_version", "change"],
  admission: ["ts", "cluster", "user", "namespace", "name", "resource"],
  logs: ["ts", "cluster", "namespace", "pod", "container", "node", "stream", "severity", "message"],
  findings: ["ts", "cluster", "rule", "severity", "title", "summary", "actor", "kind", "namespace", "name"],
  rejects: ["ts", "file", "offset", "reason"],
};

const LOOK = EditorView.theme({
  "&": {
    border: "1px solid var(--line)",
    borderRadius: "0.5rem",
    background: "var(--card)",
    color: "var(--text)",
    fontSize: "14px",
  },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--text)", minHeight: "7rem" },
  ".cm-gutters": { background: "var(--sunk)", color: "var(--soft)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "transparent" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused": { outline: "2px solid var(--accent)" },
  ".cm-tooltip": { background: "var(--card)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-selectionBackground": { background: "var(--new) !important" },
});

const WORDS = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--proved)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--inferred)" },
  { tag: tags.typeName, color: "var(--unknown)" },
  { tag: tags.comment, color: "var(--soft)", fontStyle: "italic" },
]);

export function editor(place: HTMLElement, text: string, hands: Hands): EditorView {
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  const runKey = {
    key: "Mod-Enter",
    run: () => {
      hands.run();
      return true;
    },
  };
  return new EditorView({
    doc: text,
    root,
    parent: root,
    extensions: [
      Prec.highest(keymap.of([runKey])),
      basicSetup,
      sql({ dialect: PostgreSQL, schema: TABLES }),
      EditorView.contentAttributes.of({ "aria-label": "SQL: one SELECT" }),
      EditorView.updateListener.of((update) => update.docChanged && hands.changed(update.state.doc.toString())),
      syntaxHighlighting(WORDS),
      LOOK,
    ],
  });
}
