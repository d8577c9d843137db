// The frame: views, the time zone, colours, the login.

import { lazy, Suspense } from "preact/compat";
import { useEffect } from "preact/hooks";
import { AskView } from "./ask/view";
import { loginNeeded, restricted } from "./lib/api";
import { route, to } from "./lib/route";
import { type Theme, theme, zone, zoneName } from "./lib/settings";
import { Login, SignedIn } from "./login";

/** The first view is in the first load; the others come when they are opened. */
const VIEWS = {
  ask: { title: "Ask", view: AskView },
  timeline: { title: "Timeline", view: lazy(() => import("./timeline/view")) },
  live: { title: "Live", view: lazy(() => import("./live/view")) },
  explore: { title: "Explore", view: lazy(() => import("./explore/view")) },
  sql: { title: "SQL", view: lazy(() => import("./explore/sql")) },
  policy: { title: "Audit policy", view: lazy(() => import("./policy/view")) },
  findings: { title: "Findings", view: lazy(() => import("./explore/findings")) },
  status: { title: "Status", view: lazy(() => import("./live/status")) },
  object: { title: "", view: lazy(() => import("./object/view")) },
};

function known(view: string): keyof typeof VIEWS {
  return view in VIEWS ? (view as keyof typeof VIEWS) : "ask";
}

export function App() {
  const view = known(route.value.view);
  const { title, view: View } = VIEWS[view];
  useEffect(() => {
    const about = route.value.params.get("q") || route.value.params.get("object") || title;
    document.title = about ? `${about} - kubewitness` : "kubewitness";
  });
  return (
    <>
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        Skip to the content
      </button>
      <Header view={view} />
      <main id="main" tabIndex={-1} class={`view-${view}`}>
        {restricted.value && <p class="note">Shown is what you may read; the rest of the recording is left out.</p>}
        {loginNeeded.value ? (
          <Login />
        ) : (
          <Suspense fallback={<p class="busy">Loading …</p>}>
            <View />
          </Suspense>
        )}
      </main>
    </>
  );
}

function Header({ view }: { view: string }) {
  return (
    <header class="top-bar">
      <a class="brand" href={to("ask")}>
        <img src="./favicon.svg" alt="" width="22" height="22" /> kubewitness
      </a>
      <nav aria-label="views">
        {Object.entries(VIEWS)
          .filter(([, { title }]) => title)
          .map(([name, { title }]) => (
            <a key={name} href={to(name)} aria-current={name === view ? "page" : undefined}>
              {title}
            </a>
          ))}
      </nav>
      <div class="settings">
        <label>
          <span class="offscreen">time zone</span>
          <select value={zone.value} onChange={(event) => (zone.value = event.currentTarget.value)}>
            <option value="local">local time{zone.value === "local" ? ` (${zoneName()})` : ""}</option>
            <option value="UTC">UTC</option>
            <optgroup label="other zones">
              {Intl.supportedValuesOf("timeZone").map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
            </optgroup>
          </select>
        </label>
        <label>
          <span class="offscreen">colours</span>
          <select value={theme.value} onChange={(event) => (theme.value = event.currentTarget.value as Theme)}>
            <option value="auto">auto</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
        <SignedIn />
      </div>
    </header>
  );
}
