// What the user chose for this browser: colours and the time zone. Nothing else is kept.

import { effect, signal } from "@preact/signals";

function kept(name: string, first: string): string {
  try {
    return localStorage.getItem(`kubewitness.${name}`) ?? first;
  } catch {
    return first;
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`kubewitness.${name}`, value);
  } catch {
    // a browser that keeps nothing forgets it at the end
  }
}

export type Theme = "auto" | "light" | "dark";

export const theme = signal<Theme>(kept("theme", "auto") as Theme);
/** "local", "UTC", or a name of the IANA database. */
export const zone = signal<string>(kept("zone", "local"));

effect(() => {
  keep("theme", theme.value);
  document.documentElement.dataset.theme = theme.value;
});
effect(() => keep("zone", zone.value));

/** The time zone that times are shown in. */
export function zoneName(): string {
  return zone.value === "local" ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone.value;
}
