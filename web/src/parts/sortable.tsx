/** A table that its reader sorts; by what is in the address, so that it can be passed on. */

import { useLocation } from "preact-iso";
import { useMemo } from "preact/hooks";
import type { Column } from "./table";

type Key = number | string | null;

export interface SortColumn<Row> extends Column<Row> {
  /** In the address. */
  name: string;
  key: (row: Row) => Key;
}

export interface Sort {
  name: string;
  descending: boolean;
}

interface Props<Row> {
  columns: SortColumn<Row>[];
  rows: Row[];
  label: string;
  /** The column that they are sorted by at first. */
  first: string;
  isChosen?: (row: Row) => boolean;
}

export function SortableTable<Row>({ columns, rows, label, first, isChosen }: Props<Row>) {
  const { query, path, route } = useLocation();
  const sort = sortOf(query["sort"], columns.map((column) => column.name), first);
  const column = columns.find(({ name }) => name === sort.name);
  const shown = useMemo(
    () => (column ? sorted(rows, column.key, sort.descending) : rows),
    [rows, sort.name, sort.descending],
  );
  const by = (name: string) => {
    const descending = name === sort.name && !sort.descending;
    const next = new URLSearchParams({ ...query, sort: `${descending ? "-" : ""}${name}` });
    route(`${path}?${next}`, true);
  };
  return (
    <div class="scroll tall" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            {columns.map(({ name, title, number }) => (
              <th
                scope="col"
                class={number ? "number" : undefined}
                aria-sort={name === sort.name ? (sort.descending ? "descending" : "ascending") : undefined}
              >
                <button type="button" class="sort" onClick={() => by(name)}>
                  {title}
                  <span aria-hidden="true">{name === sort.name ? (sort.descending ? "▼" : "▲") : "↕"}</span>
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => (
            <tr class={isChosen?.(row) ? "selected" : undefined}>
              {columns.map((each) => (
                <td class={each.number ? "number" : undefined}>{each.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** `-peak` -> by the peak, the largest first; what names no column is as at first. */
export function sortOf(text: string | undefined, names: string[], first: string): Sort {
  const name = text?.replace(/^-/, "");
  if (name === undefined || !names.includes(name)) return { name: first, descending: false };
  return { name, descending: text!.startsWith("-") };
}

/** Rows in the order of their keys; those without one come last either way. */
export function sorted<Row>(rows: Row[], key: (row: Row) => Key, descending: boolean): Row[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [key(a), key(b)];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    if (typeof one === "string" || typeof other === "string") {
      return sign * String(one).localeCompare(String(other), "en", { numeric: true });
    }
    return one === other ? 0 : sign * (one < other ? -1 : 1);
  });
}
