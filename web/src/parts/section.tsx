import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const PATIENCE_MS = 150;

export function Section(props: {
  title: string;
  note?: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <section class="card">
      <header class="card-head">
        <h2>{props.title}</h2>
        {props.note && <p class="note">{props.note}</p>}
        {props.actions && <div class="actions">{props.actions}</div>}
      </header>
      {props.children}
    </section>
  );
}

/** Its contents exist only once it has come near the window for a moment: heavy parts wait, so that
 * what is in sight is drawn first. */
export function WhenSeen({ children }: { children: () => ComponentChildren }) {
  const [seen, setSeen] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (seen || place.current === null) return;
    let waiting: ReturnType<typeof setTimeout> | undefined;
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some((entry) => entry.isIntersecting)) waiting ??= setTimeout(() => setSeen(true), PATIENCE_MS);
      },
      { rootMargin: "300px" },
    );
    observer.observe(place.current);
    return () => (clearTimeout(waiting), observer.disconnect());
  }, [seen]);
  return <div ref={place}>{seen ? children() : <div class="later" />}</div>;
}

/** The document's title while a view is shown, and the heading that readers start at. */
export function PageHead(props: {
  title: string;
  kicker?: ComponentChildren;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.title} · Headroom`;
  }, [props.title]);
  return (
    <header class="page-head">
      <div>
        {props.kicker && <p class="kicker">{props.kicker}</p>}
        <h1>{props.title}</h1>
        {props.children && <p class="sub">{props.children}</p>}
      </div>
      {props.actions && <div class="actions">{props.actions}</div>}
    </header>
  );
}
