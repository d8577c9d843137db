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

/** a call that takes longer is given up: its connection may have died while the machine slept */
const LONGEST_MS = 20_000;

/** Calls now and then every `every` ms while the page is seen; never again before the call before has ended. */
export function useEvery(every: number, act: (signal: AbortSignal) => Promise<void>, active = true): void {
  useEffect(() => {
    if (!active) return;
    let busy = false;
    const call = async () => {
      if (busy) return;
      busy = true;
      await act(AbortSignal.timeout(LONGEST_MS)).catch(() => {});
      busy = false;
    };
    void call();
    const timer = setInterval(() => document.visibilityState === "visible" && void call(), every);
    return () => clearInterval(timer);
  }, [every, active]);
}
