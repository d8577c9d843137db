// Where the user is: a view and its parameters, in the address's fragment. So every view can be shared, works under
// any prefix, and what is asked appears in no proxy's log.

import { signal } from "@preact/signals";

export interface Route {
  view: string;
  params: URLSearchParams;
}

function parse(): Route {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  return { view: path || "ask", params: new URLSearchParams(search ?? "") };
}

export const route = signal<Route>(parse());
addEventListener("hashchange", () => {
  route.value = parse();
});

type Values = Record<string, string | string[] | null | undefined | false>;

/** The address of a view, for `href`. Empty values are left out. */
export function to(view: string, values: Values = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (Array.isArray(value)) for (const one of value) params.append(name, one);
    else if (value) params.set(name, value);
  }
  const text = params.toString();
  return `#/${view}${text ? `?${text}` : ""}`;
}

/**
 * Goes to a view; `replace` keeps it out of the history (zooming, panning), and does nothing once the view was left:
 * what such a view says late must not bring it back.
 */
export function go(view: string, values: Values = {}, replace = false): void {
  if (replace && parse().view !== view) return;
  const address = to(view, values);
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    route.value = parse();
  } else location.hash = address;
}

/** The question of a line of words, as typed into the box. */
export function asking(text: string): string {
  return to("ask", { q: text });
}
