// Logging in where the server wants it: a token, kept by the browser in a cookie that scripts cannot read.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { get, loginNeeded, post, standing } from "./lib/api";
import type { SessionInfo } from "./lib/types";
import { useAsk } from "./lib/use";
import { Problem } from "./parts/small";

const logins = signal(0);

export function Login() {
  const [token, setToken] = useState("");
  const [error, setError] = useState<Error | null>(null);
  const session = useAsk("session", (s) => get<SessionInfo>("/api/v1/session", {}, s));
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      await post("/api/v1/login", { token: token.trim() });
      logins.value += 1;
      loginNeeded.value = false;
    } catch (refused) {
      setError(refused as Error);
    }
  };
  return (
    <form class="login" onSubmit={submit}>
      <h1>Log in</h1>
      <label for="token">
        {session.value?.login === "cluster" ? "Your token for the cluster" : "The token of --token-file"}
      </label>
      <input
        id="token"
        type="password"
        autocomplete="current-password"
        value={token}
        onInput={(event) => setToken(event.currentTarget.value)}
        required
      />
      {session.value?.login === "cluster" && (
        <p class="soft">
          <code>kubectl create token NAME -n NAMESPACE</code> makes one for a service account. You see what you may read
          in the cluster.
        </p>
      )}
      <button type="submit" class="primary">
        Log in
      </button>
      <Problem error={error} />
    </form>
  );
}

/** Who is logged in, and the way out. */
export function SignedIn() {
  const session = useAsk(`${logins.value} ${loginNeeded.value}`, (s) => get<SessionInfo>("/api/v1/session", {}, s));
  const info = session.value;
  useEffect(() => {
    standing.value = info;
  }, [info]);
  if (!info || info.login === "none" || loginNeeded.value) return null;
  const logout = async () => {
    await post("/api/v1/logout", {}).catch(() => null);
    loginNeeded.value = true;
  };
  return (
    <span class="signed-in">
      {info.user ?? "token"}
      {(info.namespaces?.length ?? 0) > 0 && <span class="soft"> in {info.namespaces?.join(", ")}</span>}
      <button type="button" class="quiet" onClick={logout}>
        Log out
      </button>
    </span>
  );
}
