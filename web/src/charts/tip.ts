/** Tooltips as elements with classes: text with inline styles is against the page's policy. */

export const TIP = {
  renderMode: "html" as const,
  className: "tip",
  backgroundColor: "",
  borderWidth: 0,
  padding: 0,
  extraCssText: "",
  confine: true,
  transitionDuration: 0,
};

export interface TipRow {
  label: string;
  value: string;
  swatch?: string;
  strong?: boolean;
}

export function tip(title: string, rows: TipRow[]): HTMLElement {
  const box = element("div", "tip-box");
  box.append(element("p", "tip-title", title));
  for (const row of rows) {
    const line = element("p", row.strong ? "tip-row tip-strong" : "tip-row");
    if (row.swatch) line.append(element("span", `swatch ${row.swatch}`));
    line.append(element("span", "tip-label", row.label), element("span", "tip-value", row.value));
    box.append(line);
  }
  return box;
}

function element(tag: string, className: string, text?: string): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}
