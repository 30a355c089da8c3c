export interface Difference {
  pointer: string;
  a: string;
  b: string;
}

/** Every field that two JSON values do not share, by its JSON pointer. */
export function differences(a: unknown, b: unknown, pointer = ""): Difference[] {
  if (isObject(a) && isObject(b)) {
    const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
    return names.flatMap((name) => differences(a[name], b[name], `${pointer}/${name}`));
  }
  const [one, other] = [textOf(a), textOf(b)];
  return one === other ? [] : [{ pointer, a: one, b: other }];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "–";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
