/** Lists with filters, a page at a time; filters and place are in the address. */

import type { ComponentChildren } from "preact";
import { useLocation } from "preact-iso";
import { useChanges, useResource } from "../api/hooks";
import type { Page } from "../api/types";
import { Select } from "./field";
import { Await } from "./states";

export interface Filter {
  name: string;
  label: string;
  /** Without options, text. */
  options?: (string | [string, string])[];
}

export const STATUSES = ["succeeded", "running", "queued", "failed", "cancelled"];

interface Props<Item> {
  path: string;
  kind: string;
  filters: Filter[];
  children: (items: Item[], filtered: boolean) => ComponentChildren;
}

export function Listing<Item>({ path, kind, filters, children }: Props<Item>) {
  const { query, path: here, route } = useLocation();
  const asked = new URLSearchParams({ limit: "25" });
  for (const name of [...filters.map((filter) => filter.name), "cursor"]) {
    if (query[name]) asked.set(name, query[name]);
  }
  const loaded = useResource<Page<Item>>(`${path}?${asked}`);
  useChanges([kind], loaded.reload, 1_000);
  const go = (changes: Record<string, string>, replace: boolean) => {
    const next = new URLSearchParams(query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    route(next.size > 0 ? `${here}?${next}` : here, replace);
  };
  const filtered = filters.some(({ name }) => query[name]);
  return (
    <>
      <form class="filters" role="search" aria-label="Filters" onSubmit={(event) => event.preventDefault()}>
        {filters.map((filter) => (
          <label>
            {filter.label}
            <FilterInput
              filter={filter}
              value={query[filter.name] ?? ""}
              onValue={(value) => go({ [filter.name]: value, cursor: "" }, true)}
            />
          </label>
        ))}
      </form>
      <Await loaded={loaded}>
        {({ items, next_cursor }) => (
          <>
            {children(items, filtered)}
            <div class="pager">
              {query["cursor"] && (
                <button type="button" onClick={() => go({ cursor: "" }, false)}>
                  Newest
                </button>
              )}
              {next_cursor && (
                <button type="button" onClick={() => go({ cursor: next_cursor }, false)}>
                  Older
                </button>
              )}
            </div>
          </>
        )}
      </Await>
    </>
  );
}

function FilterInput({ filter, value, onValue }: { filter: Filter; value: string; onValue: (value: string) => void }) {
  if (filter.options) {
    return <Select value={value} options={[["", "any"], ...filter.options]} onValue={onValue} />;
  }
  return <input value={value} placeholder="any" onChange={(event) => onValue(event.currentTarget.value.trim())} />;
}
