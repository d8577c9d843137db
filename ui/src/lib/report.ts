// The answer of `who` as a Markdown incident report. Text of records is escaped: it is written by whoever had access.

import type { Root, WhoAnswer } from "./types";

function plain(text: string | null | undefined): string {
  return (text ?? "").replace(/[\\`*_{}[\]<>#|~]/g, "\\$&").replace(/\s+/g, " ");
}

function code(text: string): string {
  return `\`${text.replaceAll("`", "'")}\``;
}

function utc(when: string | null): string {
  return when ? `${when.replace("T", " ").replace("Z", "")} UTC` : "unknown";
}

function rootText(root: Root): string {
  const who = root.user === null ? "nobody asked for it" : root.user;
  const as = root.acting_as ? ` acting as ${root.acting_as}` : "";
  return plain(`${who}${as} (${root.kind}): ${root.action} ${root.object}`);
}

function value(change: unknown): string {
  return change === null || change === undefined
    ? "-"
    : code(typeof change === "string" ? change : JSON.stringify(change));
}

/** The whole report; `command` asks again, `address` is the page. Times are UTC. */
export function report(answer: WhoAnswer, command: string, address: string): string {
  const { question, actor } = answer;
  const object = [question.kind, question.namespace, question.name].filter(Boolean).join("/");
  const lines = [`# ${plain(object)}: ${plain(question.verb)}`, "", `**${plain(answer.summary)}**`, ""];
  lines.push("| | |", "|---|---|");
  lines.push(`| when | ${utc(answer.when)} |`, `| how | ${plain(answer.mechanism)}, ${answer.certainty} |`);
  if (answer.root) lines.push(`| root | ${rootText(answer.root)} |`);
  if (actor) {
    const from = actor.peer_ip ? ` from ${actor.peer_ip}` : "";
    const agent = actor.user_agent ? ` as ${actor.user_agent} (a claim)` : "";
    lines.push(`| done by | ${plain(`${actor.user ?? "unknown"}${from}${agent}`)} |`);
  }
  lines.push(`| cluster | ${plain(question.cluster)} |`, `| uid | ${plain(question.uid ?? "unknown")} |`, "");
  if (answer.chain.length) lines.push("## Chain, from the effect to its root", "");
  answer.chain.forEach((link, i) => {
    lines.push(`${i + 1}. ${utc(link.when)}: ${plain(link.sentence)} (${link.certainty})`);
    for (const id of link.evidence) lines.push(`   - ${code(id)}`);
  });
  if (answer.changes.length) {
    lines.push("", "## Fields", "", "| field | old | new | by | manager |", "|---|---|---|---|---|");
    for (const c of answer.changes) {
      const cells = [code(c.field), value(c.old), value(c.new), plain(c.user), plain(c.webhook ?? c.manager)];
      lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    }
  }
  section(lines, "Could also have been", answer.candidates.map(rootText));
  section(lines, "What the records do not tell", answer.missing.map(plain));
  section(
    lines,
    "Not recorded",
    answer.gaps.map((g) => plain(`${g.source}: ${utc(g.since)} to ${utc(g.until)}: ${g.why}`)),
  );
  lines.push("", "## Ask again", "", `    ${command}`, "", `<${address}>`, "");
  lines.push("Events and the audit trail are best-effort records; neither is proof for billing or sole evidence.", "");
  return lines.join("\n");
}

function section(lines: string[], title: string, items: string[]): void {
  if (items.length) lines.push("", `## ${title}`, "", ...items.map((item) => `- ${item}`));
}
