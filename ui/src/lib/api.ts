// The JSON API: the same answers as the command line's -o json. Addresses are relative, so any prefix works.

import { signal } from "@preact/signals";
import type { SessionInfo } from "./types";

/** Values of a request's parameters; lists are repeated, empty ones left out. */
export type Params = Record<string, string | number | boolean | string[] | null | undefined>;

/** Set when the server wants a login. */
export const loginNeeded = signal(false);
/** Who asks, and which clusters are recorded; null until the server has said so. */
export const standing = signal<SessionInfo | null>(null);
/** Set when an answer left out what this user may not read. */
export const restricted = signal(false);

/** A refusal by the server, in its own words. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

export function query(params: Params): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (Array.isArray(value)) for (const one of value) found.append(name, one);
    else if (value !== undefined && value !== null && value !== "" && value !== false) found.set(name, String(value));
  }
  return found.toString();
}

/** The address of a question, relative to the page. */
export function address(path: string, params: Params = {}): string {
  const text = query(params);
  return `${path.replace(/^\//, "")}${text ? `?${text}` : ""}`;
}

/** Asks; throws `ApiError` with what the server says, and an AbortError when `signal` ends it. */
export async function get<T>(path: string, params: Params = {}, signal?: AbortSignal): Promise<T> {
  return answered<T>(
    await fetch(address(path, params), { signal: signal ?? null, headers: { Accept: "application/json" } }),
  );
}

/** An answer that is text, such as a manifest. */
export async function text(path: string, params: Params = {}, signal?: AbortSignal): Promise<string> {
  const response = await fetch(address(path, params), { signal: signal ?? null });
  return response.ok ? response.text() : answered<string>(response);
}

/** A page of a list: its rows, and the cursor of the next page. */
export async function page<T>(
  path: string,
  params: Params,
  signal?: AbortSignal,
): Promise<{ rows: T[]; next: string | null }> {
  const response = await fetch(address(path, params), {
    signal: signal ?? null,
    headers: { Accept: "application/json" },
  });
  const rows = await answered<T[]>(response);
  return { rows, next: response.headers.get("X-Kubewitness-Next") };
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const response = await fetch(address(path), {
    method: "POST",
    signal: signal ?? null,
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  return answered<T>(response);
}

async function answered<T>(response: Response): Promise<T> {
  if (response.headers.get("X-Kubewitness-Restricted") === "true") restricted.value = true;
  const text = await response.text();
  let value: unknown = null;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new ApiError("the server's answer is no JSON", response.status);
  }
  if (response.ok) return value as T;
  if (response.status === 401) loginNeeded.value = true;
  const said = (value as { error?: string } | null)?.error;
  throw new ApiError(said ?? `${response.status} ${response.statusText}`, response.status);
}
