// The answers' shapes, as docs/who.md, docs/diff.md, docs/timeline.md and /api/openapi.json give them.

export type Certainty = "proved" | "inferred" | "unknown";

export interface Root {
  user: string | null;
  kind: string;
  acting_as: string | null;
  action: string;
  object: string;
  when: string;
}

export interface Actor {
  user: string | null;
  kind: string;
  acting_as: string | null;
  groups: string[];
  peer_ip: string | null;
  claimed_ips: string[];
  user_agent: string | null;
}

export interface Joined {
  id: string;
  certainty: Certainty;
}

export interface Link {
  when: string;
  actor: string | null;
  action: string;
  object: string;
  sentence: string;
  certainty: Certainty;
  evidence: string[];
  joined: Joined[];
}

export interface Gap {
  source: string;
  since: string;
  until: string;
  why: string;
}

export interface FieldChange {
  path: string[];
  field: string;
  old: unknown;
  new: unknown;
  user: string | null;
  acting_as: string | null;
  manager: string | null;
  webhook: string | null;
  when: string;
  certainty: Certainty;
  evidence: string[];
}

export interface WhoAnswer {
  question: {
    verb: string;
    cluster: string;
    kind: string;
    namespace: string;
    name: string;
    uid: string | null;
    at: string | null;
  };
  found: boolean;
  mechanism: string;
  when: string | null;
  actor: Actor | null;
  root: Root | null;
  certainty: Certainty;
  summary: string;
  chain: Link[];
  candidates: Root[];
  missing: string[];
  gaps: Gap[];
  changes: FieldChange[];
}

export interface Row {
  when: string;
  source: string;
  actor: string | null;
  action: string;
  object: string;
  outcome: string;
  count: number;
  summary: string;
  id: string;
  until: string | null;
  duration_ms: number | null;
  stages: string[];
  joined: Joined[];
}

/** What a line of words means, from /api/v1/line. */
export interface Line {
  understood: boolean;
  question: string;
  path: string;
  params: Record<string, string | string[]>;
  command: string;
  said: string;
  others?: Line[];
}

export interface Example {
  question: string;
  why: string;
  at: string;
}

export interface Completion {
  from: number;
  items: { text: string; kind: string; hint: string; count?: number }[];
}

export interface RawRecord {
  id: string;
  table: string;
  when: string;
  raw: string;
  redacted: boolean;
  fields: Record<string, unknown>;
}

export interface DiffAnswer {
  found: boolean;
  object: string;
  uid: string | null;
  before: Side | null;
  after: Side | null;
  exact: boolean;
  changes: FieldChange[];
  unknown: { since: string; until: string | null; why: string; evidence: string }[];
  deleted: string | null;
  notes: string[];
  gaps: Gap[];
}

export interface Side {
  when: string;
  id: string;
  how: string;
}

export interface LogsAnswer {
  object: string;
  rows: Row[];
  older: string | null;
  newer: string | null;
  words: string[];
  pods: string[];
  missing: string[];
}

export interface ShowAnswer {
  found: boolean;
  object: unknown;
  when: string | null;
  id: string | null;
  exact: boolean;
  unknown_since: string | null;
  deleted: string | null;
  notes: string[];
  how: string | null;
}

export interface Revision {
  when: string;
  id: string;
  how: string;
  exact: boolean;
  resource_version: string | null;
  user: string | null;
  manager: string | null;
  action: string;
}

export interface TopAnswer {
  field: string;
  source: string;
  rows: { value: string; count: number; first: string; last: string }[];
}

export interface Facets {
  facets: { field: string; values: { value: string; count: number }[]; others: number }[];
  total: number;
}

export interface Held {
  chunks: number;
  records: number;
  bytes: number;
  oldest: string | null;
}

export interface TableStatus {
  rows: number;
  waiting: Held;
  [key: string]: unknown;
}

export interface Status {
  state: string;
  store: string;
  recorder: { alive?: boolean; pid?: number | null; since?: string | null; [key: string]: unknown };
  inputs: { name: string; pid: number; state?: string; [key: string]: unknown }[];
  journal: {
    exists: boolean;
    bytes: number;
    size_limit: number | null;
    last_seq: number;
    duplicates: number;
    quarantined: number;
    sources: Record<string, Record<string, number>>;
    outputs: Record<string, { cursor: number; waiting: Held }>;
  };
  tables: Record<string, TableStatus>;
  raw: { segments: number; bytes: number };
  rejects: number;
  set_aside: { pipeline: string; output: string; records: number; bytes: number; path: string }[];
  duplicates: number;
  disk: { total_bytes: number; free_bytes: number };
  election: Record<string, unknown> | null;
}

export interface SessionInfo {
  login: "none" | "token" | "cluster";
  user: string | null;
  namespaces: string[] | null;
  version: string;
  clusters: string[];
  restricted?: boolean;
  hidden?: string | null;
}

export interface Histogram {
  since: string;
  until: string;
  bin_ms: number;
  series: { name: string; counts: number[] }[];
}

export interface BoardRow {
  key: string;
  object: string;
  cluster: string;
  kind: string;
  namespace: string;
  name: string;
  owner: string | null;
  node: string | null;
  count: number;
}

export interface Board {
  since: string;
  until: string;
  total: number;
  objects?: number;
  shown?: number;
  more_rows: boolean;
  next?: string | null;
  level: "marks" | "bins";
  bin_ms: number;
  rows: BoardRow[];
  words: { what: string[]; actor: string[] };
  types: string[];
  outcomes: string[];
  marks: {
    row: number[];
    t: number[];
    n: number[];
    type: number[];
    what: number[];
    actor: number[];
    outcome: number[];
    id?: string[];
  };
}

export interface States {
  object: string;
  cluster: string;
  key?: string;
  segments: { since: string; until: string | null; state: string; why: string; certainty: Certainty }[];
}
