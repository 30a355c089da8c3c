/** Single values: bytes, states, keys of things. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Category, JobStatus } from "../api/types";
import { STYLES } from "../categories";
import { bytes, exactBytes } from "../units";

export function Bytes({ value }: { value: number | null | undefined }) {
  if (value === null || value === undefined) return <span class="none">–</span>;
  return (
    <data value={value} title={exactBytes(value)} class="bytes">
      {bytes(value)}
    </data>
  );
}

const MARKS: Record<JobStatus, string> = {
  queued: "◌",
  running: "◐",
  succeeded: "✓",
  failed: "✕",
  cancelled: "⊘",
  out_of_memory: "▲",
};

export function Status({ status }: { status: JobStatus }) {
  return (
    <span class={`status status-${status}`}>
      <span aria-hidden="true">{MARKS[status] ?? "·"} </span>
      {status.replaceAll("_", " ")}
    </span>
  );
}

/** The colour and pattern of a category. */
export function Swatch({ category }: { category: Category }) {
  return <span class={`swatch cat-${category}`} aria-hidden="true" />;
}

export function CategoryName({ category }: { category: Category }) {
  return (
    <span class="category">
      <Swatch category={category} /> {STYLES[category].label}
    </span>
  );
}

/** Key numbers, side by side. */
export function Figures({ children }: { children: ComponentChildren }) {
  return <dl class="figures">{children}</dl>;
}

export function Figure(props: { label: string; note?: string | null; children: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{props.label}</dt>
      <dd>
        {props.children}
        {props.note && <small>{props.note}</small>}
      </dd>
    </div>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState<string | null>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("Select and copy it by hand"); // clipboards need HTTPS or localhost
    }
    setTimeout(() => setDone(null), 2_000);
  };
  return (
    <button type="button" class="small" onClick={copy}>
      <span aria-live="polite">{done ?? label}</span>
    </button>
  );
}

export function CodeBlock({ text, label }: { text: string; label: string }) {
  return (
    <div class="code">
      <Copy text={text} />
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  );
}
