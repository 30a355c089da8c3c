/** How a view says that it is loading, empty, or went wrong. */

import type { ComponentChildren } from "preact";
import { ApiError } from "../api/client";
import type { Problem } from "../api/types";
import type { Loaded } from "../api/hooks";
import { PageHead } from "./section";

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <p class="state loading" role="status">
      <span class="spinner" aria-hidden="true" />
      {what} …
    </p>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}

export function ProblemView({ problem, again }: { problem: Problem; again?: () => void }) {
  const errors = problem.errors ?? [];
  return (
    <div class="problem" role="alert">
      <p class="problem-title">{problem.title}</p>
      {errors.length === 0 && problem.detail && <p>{problem.detail}</p>}
      {problem.remedy && <p class="remedy">Remedy: {problem.remedy}</p>}
      <ul>
        {errors.map((error) => (
          <li>
            <code>{error.pointer ?? error.parameter}</code> {error.detail}
            {error.remedy && <span class="remedy">; {error.remedy}</span>}
          </li>
        ))}
      </ul>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function problemOf(error: unknown): Problem {
  if (error instanceof ApiError) return error.problem;
  const detail = error instanceof Error ? error.message : String(error);
  return { type: "dashboard", title: "The dashboard cannot show this", detail };
}

/** The data when it is there; until then, that it loads or why it does not come. */
export function Await<Data>(props: {
  loaded: Loaded<Data>;
  what?: string;
  /** Of a whole view, for as long as there is no data to name it by. */
  title?: string;
  /** Where others of its kind are. */
  others?: string;
  children: (data: Data) => ComponentChildren;
}) {
  const { loaded, title, others } = props;
  const head = title && <PageHead title={title} />;
  if (loaded.error !== null) {
    const problem = problemOf(loaded.error);
    const gone = problem.status === 404;
    return (
      <>
        {head}
        <ProblemView problem={problem} again={gone ? undefined : loaded.reload} />
        {gone && others && <a href={others}>See what there is</a>}
      </>
    );
  }
  if (loaded.data === null) {
    return (
      <>
        {head}
        <Loading what={props.what} />
      </>
    );
  }
  return <>{props.children(loaded.data)}</>;
}
