// What the rules found, newest first.

import { get } from "../lib/api";
import { route } from "../lib/route";
import type { Row } from "../lib/types";
import { useAsk } from "../lib/use";
import { Rows } from "../parts/rows";
import { Busy, Problem } from "../parts/small";

export default function FindingsView() {
  const words = route.value.params.getAll("q");
  const asked = useAsk(words.join("\0"), (signal) => get<Row[]>("/api/v1/findings", { q: words, limit: 200 }, signal));
  return (
    <>
      <h1>What the rules found</h1>
      <Busy busy={asked.busy} />
      <Problem error={asked.error} />
      {asked.value &&
        (asked.value.length ? <Rows rows={asked.value} caption="findings" /> : <p>No finding is recorded.</p>)}
    </>
  );
}
