// The cause chain: cards from the effect down to the root, each with its evidence one click away.

import { useState } from "preact/hooks";
import { ms, span } from "../lib/time";
import type { Link } from "../lib/types";
import { ObjectLink, Sure, Time, UserLink } from "../parts/small";
import { Evidence } from "./evidence";

export function Chain({ chain, cluster, rooted }: { chain: Link[]; cluster: string; rooted: boolean }) {
  return (
    <ol class="chain" aria-label="cause chain, from the effect to its root">
      {chain.map((link, i) => (
        <Card key={i} link={link} place={placeOf(i, chain.length, rooted)} before={chain[i - 1]} cluster={cluster} />
      ))}
    </ol>
  );
}

type Place = "effect" | "cause" | "root" | "only";

function placeOf(i: number, length: number, rooted: boolean): Place {
  if (length === 1) return rooted ? "only" : "effect";
  if (i === 0) return "effect";
  return i === length - 1 && rooted ? "root" : "cause";
}

const WORDS: Record<Place, string> = { effect: "effect", cause: "because", root: "root", only: "effect and root" };

function Card({
  link,
  place,
  before,
  cluster,
}: {
  link: Link;
  place: Place;
  before: Link | undefined;
  cluster: string;
}) {
  const earlier = before ? ms(before.when) - ms(link.when) : 0;
  return (
    <li class={`card place-${place}`}>
      <div class="card-head">
        <span class="place">{WORDS[place]}</span>
        <Time when={link.when} />
        {earlier > 0 && <span class="soft">{span(earlier)} before</span>}
        <Sure certainty={link.certainty} />
      </div>
      <p class="sentence">{link.sentence}</p>
      <p class="soft facts">
        <UserLink user={link.actor} /> <span class="verb">{link.action}</span>{" "}
        <ObjectLink object={link.object} cluster={cluster} />
      </p>
      <EvidenceList link={link} />
    </li>
  );
}

/** The ids; one is open at a time. */
function EvidenceList({ link }: { link: Link }) {
  const [open, setOpen] = useState<string | null>(null);
  if (!link.evidence.length) return <p class="soft">no record of its own</p>;
  return (
    <div class="evidence">
      <ul>
        {link.evidence.map((id) => (
          <li key={id}>
            <button
              type="button"
              class="id"
              aria-expanded={open === id}
              onClick={() => setOpen(open === id ? null : id)}
            >
              {id}
            </button>
            {link.joined.some((j) => j.id === id) && <span class="soft"> the same deed, inferred</span>}
          </li>
        ))}
      </ul>
      {open && <Evidence id={open} />}
    </div>
  );
}
