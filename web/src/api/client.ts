/** Calls of the public API, and nothing else: whatever the dashboard shows comes through here. */

import type { Problem } from "./types";
import { askForKey, currentKey } from "./key";

/** An answer that is no success; `problem` is what the service says (RFC 9457). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title);
  }
}

/** The parsed answer. Asks for a key where one is needed, and goes on when it is given. */
export async function api<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await send(path, init);
  return (response.status === 204 ? null : await response.json()) as Answer;
}

/** Make a job without waiting for its end: the answer is the resource as it is now. */
export function submit<Job>(path: string, body: unknown): Promise<Job> {
  return api<Job>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", Prefer: "respond-async" },
    body: JSON.stringify(body),
  });
}

/** Save an answer as a file. A plain link could not send the key. */
export async function download(path: string, name: string): Promise<void> {
  const response = await send(path, {});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The successful response of a call. */
export async function send(path: string, init: RequestInit): Promise<Response> {
  for (;;) {
    const key = currentKey();
    const response = await reach(path, withKey(init, key));
    if (response.status !== 401) {
      if (response.ok) return response;
      throw new ApiError(response.status, await problemOf(response));
    }
    await askForKey(key, (await problemOf(response)).detail ?? null);
  }
}

function withKey(init: RequestInit, key: string | null): RequestInit {
  const headers = new Headers(init.headers);
  if (key !== null) headers.set("Authorization", `Bearer ${key}`);
  return { ...init, headers };
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(0, {
      type: "unreachable",
      title: "The service does not answer",
      detail: "No connection to the service could be made.",
      remedy: "see whether `headroom serve` is running, then try again",
    });
  }
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    if (typeof body.title === "string") return body as Problem;
  } catch {
    // Not JSON: a proxy's page, for example.
  }
  return {
    type: "unexpected",
    title: `The service answered ${response.status}`,
    detail: response.statusText || null,
  };
}
