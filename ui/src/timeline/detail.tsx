// What was clicked: the object with its history near that time, versions and relations, beside the canvas.

import { useEffect, useRef, useState } from "preact/hooks";
import { route, to } from "../lib/route";
import { ObjectDetail, type Part } from "../object/view";

interface Props {
  close: () => void;
  change: (values: Record<string, string | null>) => void;
}

export function Detail({ close }: Props) {
  const params = route.value.params;
  const near = Number(params.get("near"));
  const asked = params.get("part") === "logs" ? "logs" : null;
  const [part, setPart] = useState<Part>(asked ?? "history");
  useEffect(() => {
    if (asked) setPart(asked); // the mark of a log line was clicked
  }, [asked, near]);
  const [versions, setVersions] = useState<{ from?: string | undefined; to?: string | undefined }>({});
  const object = {
    object: params.get("object") ?? "",
    ...(params.get("namespace") ? { namespace: params.get("namespace") ?? "" } : {}),
    ...(params.get("cluster") ? { cluster: params.get("cluster") ?? "" } : {}),
  };
  const place = useRef<HTMLElement>(null);
  const name = JSON.stringify(object);
  // on a narrow page it is below the canvas
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [name]);
  useEffect(() => {
    const leave = (event: KeyboardEvent) => event.key === "Escape" && close();
    addEventListener("keydown", leave);
    return () => removeEventListener("keydown", leave);
  });
  return (
    <aside class="detail" aria-label="object" ref={place}>
      <div class="bar">
        <a class="button" href={to("object", { ...object, part, near: near ? String(near) : null })}>
          Open as a page
        </a>
        <button type="button" class="quiet" onClick={close}>
          Close
        </button>
      </div>
      <ObjectDetail
        key={name}
        params={object}
        part={part}
        versions={versions}
        near={near || null}
        change={(values) => {
          if (values.part) setPart(values.part);
          setVersions((old) => ({ ...old, ...values }));
        }}
      />
    </aside>
  );
}
