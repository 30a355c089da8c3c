import type { ByCategory } from "../api/types";
import { STYLES, held } from "../categories";
import { bytes } from "../units";

/** One bar, divided by category; `scale` is what its whole width stands for. */
export function CategoryBar(props: { parts: Partial<ByCategory>; total: number; scale?: number }) {
  const scale = Math.max(props.scale ?? props.total, 1);
  const words = held(props.parts).map(([name, size]) => `${STYLES[name].label} ${bytes(size)}`);
  return (
    <div class="bar" role="img" aria-label={words.join(", ")}>
      {held(props.parts).map(([name, size]) => (
        <span
          class={`swatch cat-${name}`}
          style={{ width: `${(100 * size) / scale}%` }}
          title={`${STYLES[name].label}: ${bytes(size)}`}
        />
      ))}
    </div>
  );
}
