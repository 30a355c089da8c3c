import type { ComponentChildren } from "preact";

export interface Column<Row> {
  title: string;
  number?: boolean;
  cell: (row: Row) => ComponentChildren;
}

/** `stacked`: on phones, each row is a block of its own, with titles beside its values. Roles are said
 * aloud, since a table that is laid out otherwise loses them. */
export function Table<Row>(props: { columns: Column<Row>[]; rows: Row[]; label: string; stacked?: boolean }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={props.label}>
      <table class={props.stacked ? "stacked" : undefined} role="table">
        <thead role="rowgroup">
          <tr role="row">
            {props.columns.map((column) => (
              <th scope="col" role="columnheader" class={column.number ? "number" : undefined}>
                {column.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {props.rows.map((row) => (
            <tr role="row">
              {props.columns.map((column) => (
                <td role="cell" class={column.number ? "number" : undefined} data-title={column.title}>
                  <span>{column.cell(row)}</span>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
