// What /api/v1/policy answers.

export interface Share {
  records: number;
  bytes: number;
}

export interface VerbSeen extends Share {
  verb: string;
  levels: Record<string, number>;
  stages: Record<string, number>;
  kinds: Record<string, number>;
}

export interface ResourceSeen extends Share {
  group: string;
  resource: string;
  subresource: string;
  path: string;
  verbs: VerbSeen[];
}

export interface Need {
  resources: string[];
  verbs: string[];
  level: string;
  purpose: string;
  state: "met" | "part" | "lower" | "left-out" | "unseen";
  records: number;
  levels: Record<string, number>;
  sign: string | null;
}

export interface Noise extends Share {
  user: string;
  kind: string;
  verb: string;
  group: string;
  resource: string;
  subresource: string;
}

export interface Remark {
  kind: "danger" | "missing" | "waste";
  sentence: string;
  mend: string;
  words: string[];
}

export interface Suggestion {
  policy: string;
  same: Share;
  lower: Share;
  higher: Share;
  dropped: Share;
  stages: Share;
  rules: ({ level: string; why: string } & Share)[];
}

export interface PolicyAnswer extends Share {
  cluster: string;
  since: string | null;
  until: string | null;
  levels: ({ name: string } & Share)[];
  stages: ({ name: string } & Share)[];
  resources: ResourceSeen[];
  more_resources: number;
  needs: Need[];
  remarks: Remark[];
  noise: Noise[];
  suggestion: Suggestion;
  missing: string[];
}

/** `deployments.apps/scale`, or the path of what is no resource. */
export function nameOf(of: { group: string; resource: string; subresource: string; path?: string }): string {
  if (!of.resource) return of.path ? `${of.path}…` : "(no resource)";
  return [of.resource, of.group].filter(Boolean).join(".") + (of.subresource ? `/${of.subresource}` : "");
}

/** The words of a search for these records. */
export function wordsOf(of: { group: string; resource: string; subresource: string; path?: string }): string[] {
  if (!of.resource) return ["source=audit", "resource=", `uri=${of.path ?? ""}*`];
  return ["source=audit", `resource=${of.resource}`, `api_group=${of.group}`, `subresource=${of.subresource}`];
}
