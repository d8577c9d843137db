// Asking from a component: the answer, the wait, the refusal; what was asked before is given up.

import { useEffect, useState } from "preact/hooks";

export interface Asked<T> {
  value: T | null;
  error: Error | null;
  busy: boolean;
}

/** Asks again whenever `key` changes; with key null nothing is asked. The last answer stays until the next is there. */
export function useAsk<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Asked<T> {
  const [state, setState] = useState<Asked<T> & { key: string | null }>({
    value: null,
    error: null,
    busy: key !== null,
    key,
  });
  useEffect(() => {
    if (key === null) {
      setState({ value: null, error: null, busy: false, key });
      return;
    }
    const control = new AbortController();
    setState((old) => ({ value: old.value, error: null, busy: true, key }));
    ask(control.signal).then(
      (value) => control.signal.aborted || setState({ value, error: null, busy: false, key }),
      (error: unknown) =>
        control.signal.aborted ||
        setState({ value: null, error: error instanceof Error ? error : new Error(String(error)), busy: false, key }),
    );
    return () => control.abort();
  }, [key]);
  return state;
}

/** Calls now and then every `every` ms while the page is seen. */
export function useEvery(every: number, act: () => void, active = true): void {
  useEffect(() => {
    if (!active) return;
    act();
    const timer = setInterval(() => document.visibilityState === "visible" && act(), every);
    return () => clearInterval(timer);
  }, [every, active]);
}
