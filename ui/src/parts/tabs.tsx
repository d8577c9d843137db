// A choice of one, as buttons; arrow keys move as in every tab list.

interface Props<T extends string> {
  label: string;
  all: readonly T[];
  chosen: T;
  choose: (one: T) => void;
}

export function Tabs<T extends string>({ label, all, chosen, choose }: Props<T>) {
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = all[(all.indexOf(chosen) + step + all.length) % all.length];
    if (next === undefined) return;
    choose(next);
    const buttons = (event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>("[role=radio]");
    buttons[all.indexOf(next)]?.focus();
  };
  return (
    <div class="tabs" role="radiogroup" aria-label={label} onKeyDown={move}>
      {all.map((one) => (
        <button
          key={one}
          type="button"
          role="radio"
          aria-checked={one === chosen}
          tabIndex={one === chosen ? 0 : -1}
          onClick={() => choose(one)}
        >
          {one}
        </button>
      ))}
    </div>
  );
}
