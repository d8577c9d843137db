// An object as it was, as YAML.

import type { ShowAnswer } from "../lib/types";
import { useAsk } from "../lib/use";
import { Copy, Time } from "../parts/small";

export function Shown({ answer }: { answer: ShowAnswer }) {
  const yaml = useAsk(answer.found ? `${answer.id}` : null, async () => {
    const { stringify } = await import("yaml");
    return stringify(answer.object, { lineWidth: 0 });
  });
  return (
    <>
      {answer.found && (
        <p>
          As of <Time when={answer.when} relative />, from <code>{answer.how}</code>
          {answer.exact ? "" : ", not exact"}
        </p>
      )}
      {answer.notes.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      {yaml.value && (
        <>
          <Copy text={yaml.value}>Copy YAML</Copy>
          <pre class="record" role="region" tabIndex={0} aria-label="object as YAML">
            {yaml.value}
          </pre>
        </>
      )}
    </>
  );
}
