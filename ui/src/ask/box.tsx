// The one box: words as on the command line, completed from what was recorded. An ARIA combobox with a list.

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get } from "../lib/api";
import type { Completion } from "../lib/types";

const EMPTY: Completion = { from: 0, items: [] };
const PAUSE_MS = 90;

export function Box({ text, ask }: { text: string; ask: (text: string) => void }) {
  const [value, setValue] = useState(text);
  const [found, setFound] = useState(EMPTY);
  const [chosen, setChosen] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const asked = useRef<AbortController | null>(null);
  const timer = useRef(0);
  useEffect(() => setValue(text), [text]);
  useLayoutEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== "/" || (event.target as HTMLElement).closest("input, textarea, select, .cm-editor, .editor"))
        return;
      event.preventDefault();
      input.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);

  const close = () => {
    clearTimeout(timer.current);
    asked.current?.abort();
    setFound(EMPTY);
    setChosen(-1);
  };
  const complete = (words: string) => {
    close();
    if (!words.trim()) return;
    timer.current = window.setTimeout(async () => {
      const control = new AbortController();
      asked.current = control;
      try {
        setFound(await get<Completion>("/api/v1/complete", { text: words, limit: 12 }, control.signal));
      } catch {
        // no completion is no fault: the question itself will tell what is wrong
      }
    }, PAUSE_MS);
  };
  const take = (item: Completion["items"][number]) => {
    setValue(`${value.slice(0, found.from)}${item.text} `);
    close();
    input.current?.focus();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    close();
    if (value.trim()) ask(value.trim());
  };
  const keys = (event: KeyboardEvent) => {
    const items = found.items;
    if (event.key === "Escape" && items.length) close();
    else if (event.key === "ArrowDown" && items.length) setChosen((chosen + 1) % items.length);
    else if (event.key === "ArrowUp" && items.length)
      setChosen((chosen + items.length - (chosen < 0 ? 0 : 1)) % items.length);
    else if ((event.key === "Enter" || event.key === "Tab") && items[chosen]) take(items[chosen]);
    else return;
    event.preventDefault();
  };

  return (
    <form class="box" role="search" onSubmit={submit}>
      <label for="question" class="offscreen">
        Ask: who did it, what happened, or any text
      </label>
      <div class="box-input">
        <input
          id="question"
          ref={input}
          value={value}
          placeholder="who evicted web-7    pod/web-7 -n shop    alice    an auditID    any text"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          role="combobox"
          aria-expanded={found.items.length > 0}
          aria-controls="completions"
          aria-autocomplete="list"
          aria-activedescendant={chosen >= 0 ? `completion-${chosen}` : undefined}
          onInput={(event) => {
            setValue(event.currentTarget.value);
            complete(event.currentTarget.value);
          }}
          onKeyDown={keys}
          onBlur={() => setTimeout(close, 150)}
        />
        <div id="completions" role="listbox" aria-label="completions" hidden={!found.items.length}>
          {found.items.map((item, i) => (
            // biome-ignore lint/a11y/useFocusableInteractive: the input keeps the focus (aria-activedescendant)
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys are the input's
            <div
              key={item.text}
              id={`completion-${i}`}
              role="option"
              aria-selected={i === chosen}
              onMouseDown={(event) => event.preventDefault()}
              onClick={() => take(item)}
            >
              <span class="completion-text">{item.text}</span>
              <span class="soft">
                {item.kind} {item.hint}
              </span>
            </div>
          ))}
        </div>
      </div>
      <button type="submit" class="primary">
        Ask
      </button>
    </form>
  );
}
