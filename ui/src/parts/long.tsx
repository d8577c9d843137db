// A list that may be long: its first items, and the rest when they are asked for.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { count } from "./small";

interface Props<T> {
  items: readonly T[];
  show: (item: T) => ComponentChildren;
  most?: number;
}

export function LongList<T>({ items, show, most = 20 }: Props<T>) {
  const [all, setAll] = useState(false);
  const shown = all ? items : items.slice(0, most);
  return (
    <>
      <ul>{shown.map(show)}</ul>
      {shown.length < items.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {count(items.length)}
        </button>
      )}
    </>
  );
}
