// The colours of the timeline, read from the page's style once per theme. Blue, orange, vermilion, green, purple after
// Okabe and Ito; shapes and heights say the same, so that no colour has to be told apart.

export interface Colours {
  page: string;
  card: string;
  band: string;
  line: string;
  text: string;
  soft: string;
  accent: string;
  ok: string;
  refused: string;
  failed: string;
  warning: string;
  event: string;
  log: string;
  finding: string;
  version: string;
  ready: string;
  running: string;
  pending: string;
  terminating: string;
  exists: string;
  unknown: string;
}

const LIGHT: Colours = {
  page: "#ffffff",
  card: "#ffffff",
  band: "#f1f4f8",
  line: "#d0d6de",
  text: "#1b2128",
  soft: "#55606c",
  accent: "#0b5cad",
  ok: "#0072b2",
  refused: "#d98200",
  failed: "#c43c00",
  warning: "#d98200",
  event: "#5b6b7c",
  log: "#7a5195",
  finding: "#b0006d",
  version: "#8a97a5",
  ready: "#9fd9c4",
  running: "#bfe3d5",
  pending: "#f0e0a8",
  terminating: "#e6b09a",
  exists: "#d5dde6",
  unknown: "#a4aeb9",
};

const DARK: Colours = {
  ...LIGHT,
  page: "#14171c",
  card: "#1c2027",
  band: "#191d23",
  line: "#363d48",
  text: "#e7eaee",
  soft: "#a3adb9",
  accent: "#6fb4f5",
  ok: "#56b4e9",
  refused: "#f0a830",
  failed: "#ff7a4d",
  warning: "#f0a830",
  event: "#a9b6c4",
  log: "#c9a4e0",
  finding: "#ff7fc4",
  version: "#76828f",
  ready: "#1f6b52",
  running: "#1c4f40",
  pending: "#5d5120",
  terminating: "#6e3722",
  exists: "#323c48",
  unknown: "#5d6875",
};

export function coloursNow(): Colours {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  return dark ? DARK : LIGHT;
}
