import { useState } from "preact/hooks";
import { api } from "../api/client";
import { isFinal } from "../api/hooks";
import type { Job } from "../api/types";
import { ago } from "../units";
import { ProblemView, problemOf } from "./states";
import { Status } from "./values";

/** What a job that has not succeeded is doing, or why it did not. */
export function JobState({ job, path }: { job: Job; path: string }) {
  const [error, setError] = useState<unknown>(null);
  if (job.status === "succeeded") return null;
  if (isFinal(job)) {
    if (job.problem) return <ProblemView problem={job.problem} />;
    return (
      <p class="verdict">
        <Status status={job.status} /> {job.finished_at && ago(job.finished_at)}
      </p>
    );
  }
  const phase = job.progress?.["phase"];
  return (
    <div class="verdict progress" role="status">
      <span class="spinner" aria-hidden="true" />
      <span>
        <Status status={job.status} /> {typeof phase === "string" && phase}
      </span>
      {job.warnings.map((warning) => (
        <p class="note">{warning}</p>
      ))}
      <button type="button" class="small" onClick={() => api(path, { method: "DELETE" }).catch(setError)}>
        Cancel
      </button>
      {error !== null && <ProblemView problem={problemOf(error)} />}
    </div>
  );
}
