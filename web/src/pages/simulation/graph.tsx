export function GraphSection(_: { path: string }) {
  return null;
}
