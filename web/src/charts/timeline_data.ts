import { CATEGORIES, type ByCategorySeries, type Timeline } from "../api/types";

/** The points of `part` in place of the coarse ones over the same events. */
export function withPart(coarse: Timeline, part: Timeline): Timeline {
  const [from, to] = [part.event[0] ?? 0, part.event.at(-1) ?? 0];
  const before = coarse.event.filter((event) => event < from).length;
  const after = coarse.event.findIndex((event) => event > to);
  const join = (outer: number[], inner: number[]) => [
    ...outer.slice(0, before),
    ...inner,
    ...(after < 0 ? [] : outer.slice(after)),
  ];
  const series = CATEGORIES.map((name) => [
    name,
    join(coarse.bytes_by_category[name], part.bytes_by_category[name]),
  ]);
  return {
    ...coarse,
    event: join(coarse.event, part.event),
    total_bytes: join(coarse.total_bytes, part.total_bytes),
    bytes_by_category: Object.fromEntries(series) as ByCategorySeries,
    reserved_bytes:
      coarse.reserved_bytes && part.reserved_bytes
        ? join(coarse.reserved_bytes, part.reserved_bytes)
        : null,
  };
}
