"use strict";
// One box: the command line's words, asked of the JSON API. Everything shown is set as text, never as HTML:
// names and messages in the records are written by whoever had access to the cluster.

const QUESTIONS = new Set(["who", "timeline", "show", "search", "top"]);
const TIMES = new Set(["when", "until"]);
const out = document.getElementById("answer");
const box = document.getElementById("question");

function el(tag, text, cls) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (cls) node.className = cls;
  return node;
}

/** The API's address for words as typed on the command line. */
function address(text) {
  const words = text.trim().split(/\s+/);
  const question = QUESTIONS.has(words[0]) ? words.shift() : words[0].includes("/") ? "who" : "search";
  const params = new URLSearchParams();
  const plain = [];
  const options = { "-n": "namespace", "--namespace": "namespace", "--at": "at", "--since": "since",
    "--until": "until", "--uid": "uid", "--cluster": "cluster" };
  while (words.length) {
    const word = words.shift();
    if (word === "--related") params.set("related", "true");
    else if (options[word]) params.set(options[word], words.shift() ?? "");
    else plain.push(word);
  }
  if (question === "search" || question === "top") {
    if (question === "top") params.set("field", plain.shift() ?? "");
    plain.forEach((word) => params.append("q", word));
  } else {
    const slash = plain.findIndex((word) => word.includes("/"));
    if (question === "who" && slash > 0) params.set("verb", plain.slice(0, slash).join(" "));
    params.set("object", plain[slash] ?? plain.join("/"));
  }
  return { question, url: `api/v1/${question}?${params}` };
}

function local(when) {
  return when ? new Date(when).toLocaleString(undefined, { timeZoneName: "short" }) : "";
}

function who(answer) {
  out.append(el("p", answer.summary, "summary"));
  const facts = [answer.mechanism, answer.certainty, local(answer.when)];
  if (answer.actor?.peer_ip) facts.push(`from ${answer.actor.peer_ip}`, answer.actor.user_agent);
  out.append(el("p", facts.filter(Boolean).join(" · "), `facts ${answer.certainty}`));
  const chain = el("ol", null, "chain");
  for (const link of answer.chain) {
    const item = el("li");
    item.append(el("div", link.sentence), el("div", `${local(link.when)} · ${link.certainty}`, `when ${link.certainty}`));
    for (const id of link.evidence) {
      const line = el("div", null, "evidence");
      const to = el("a", id);
      to.href = `#${encodeURIComponent(`search id=${id}`)}`;
      line.append(to);
      if (link.joined.some((j) => j.id === id)) line.append(" (the same deed, inferred)");
      item.append(line);
    }
    chain.append(item);
  }
  out.append(chain);
  for (const text of answer.missing) out.append(el("p", `Missing: ${text}`, "missing"));
  for (const root of answer.candidates) out.append(el("p", `It may also have been ${root.user}: ${root.action} ${root.object}`, "missing"));
}

function table(rows) {
  if (!rows.length) return out.append(el("p", "Nothing found."));
  const columns = Object.keys(rows[0]).filter((name) => rows.some((row) => row[name] !== null && row[name].length !== 0));
  const words = (value) => (Array.isArray(value) ? value.map((v) => v.id ?? v).join(" ") : String(value ?? ""));
  const node = el("table");
  const head = node.createTHead().insertRow();
  columns.forEach((name) => { const th = el("th", name); th.scope = "col"; head.append(th); });
  const body = node.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    columns.forEach((name) => line.append(el("td", TIMES.has(name) ? local(row[name]) : words(row[name]))));
  }
  const scroll = el("div", null, "scroll");
  scroll.append(node);
  out.append(scroll);
}

async function ask(text) {
  out.replaceChildren(el("p", "Asking …"));
  const { question, url } = address(text);
  let answer;
  try {
    const response = await fetch(url);
    answer = await response.json();
    if (!response.ok) throw new Error(answer.error ?? response.statusText);
  } catch (error) {
    out.replaceChildren(el("p", error.message, "missing"));
    return;
  }
  out.replaceChildren();
  if (question === "who") who(answer);
  else if (Array.isArray(answer)) table(answer);
  else if (Array.isArray(answer.rows)) table(answer.rows);
  else out.append(el("pre", JSON.stringify(answer, null, 2)));
}

function fromAddress() {
  const text = decodeURIComponent(location.hash.slice(1));
  if (!text) return;
  box.value = text;
  ask(text);
}

document.getElementById("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const hash = `#${encodeURIComponent(box.value)}`;
  if (hash === location.hash) fromAddress();
  else location.hash = hash;
});
addEventListener("hashchange", fromAddress);
fromAddress();
