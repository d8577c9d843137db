// Filters to come back to, kept by this browser.

import { useState } from "preact/hooks";

const KEY = "kubewitness.saved";

function read(): string[][] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "[]") as string[][];
  } catch {
    return [];
  }
}

export function Saved({ words, open }: { words: string[]; open: (words: string[]) => void }) {
  const [views, setViews] = useState(read);
  const keep = (next: string[][]) => {
    localStorage.setItem(KEY, JSON.stringify(next));
    setViews(next);
  };
  const here = words.join(" ");
  const known = views.some((view) => view.join(" ") === here);
  return (
    <>
      <button
        type="button"
        disabled={!words.length}
        aria-pressed={known}
        onClick={() => keep(known ? views.filter((view) => view.join(" ") !== here) : [...views, words])}
      >
        {known ? "Forget this view" : "Save this view"}
      </button>
      {views.length > 0 && (
        <label>
          <span class="offscreen">saved views</span>
          <select
            value=""
            onChange={(event) => {
              const view = views[Number(event.currentTarget.value)];
              if (view) open(view);
            }}
          >
            <option value="" disabled>
              saved views
            </option>
            {views.map((view, i) => (
              <option key={view.join(" ")} value={i}>
                {view.join(" ")}
              </option>
            ))}
          </select>
        </label>
      )}
    </>
  );
}
