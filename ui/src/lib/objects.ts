// Objects as answers name them: `Pod/shop/web-1`, `Node/n1`.

export interface Named {
  kind: string;
  namespace: string;
  name: string;
}

/** null for what names no single object (`Pod/shop`, a path). */
export function named(object: string | null | undefined): Named | null {
  const parts = (object ?? "").split("/");
  if (parts.length < 2 || parts.length > 3 || parts.some((p) => !p)) return null;
  const [kind = "", second = "", third] = parts;
  return third === undefined ? { kind, namespace: "", name: second } : { kind, namespace: second, name: third };
}

/** The cluster that a record's id names: `audit:prod/<auditID>/<stage>`; "" for what is no id. */
export function clusterOf(id: string): string {
  return /^[a-z]+:([^/]*)\//.exec(id)?.[1] ?? "";
}

/** The parameters that questions take for an object. */
export function objectParams(found: Named, cluster?: string): Record<string, string> {
  return {
    object: `${found.kind.toLowerCase()}/${found.name}`,
    ...(found.namespace ? { namespace: found.namespace } : {}),
    ...(cluster && cluster !== "default" ? { cluster } : {}),
  };
}

const SAFE = /^[A-Za-z0-9_@%+=:,./-]+$/;

/** A word for a POSIX shell. */
export function quoted(word: string): string {
  return SAFE.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`;
}

/** `pod/web-1 -n shop`. */
export function spelled(found: Named): string {
  const target = quoted(`${found.kind.toLowerCase()}/${found.name}`);
  return found.namespace ? `${target} -n ${quoted(found.namespace)}` : target;
}

/** What shows the object in the cluster; it changes nothing. */
export function kubectlGet(found: Named): string {
  return `kubectl get ${spelled(found)} -o yaml --show-managed-fields`;
}

/** What prints a record's original bytes. */
export function searchId(id: string): string {
  return `kubewitness search ${quoted(`id=${id}`)} --raw`;
}
