import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { api } from "./client";
import { listen } from "./events";
import type { Job } from "./types";

export interface Loaded<Data> {
  data: Data | null;
  error: unknown;
  reload: () => void;
}

/** What a GET answers; null while it is on its way. A null path asks nothing. */
export function useResource<Data>(path: string | null): Loaded<Data> {
  const [state, setState] = useState<{ path: string | null; data: Data | null; error: unknown }>({
    path: null,
    data: null,
    error: null,
  });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (path === null) return;
    const ending = new AbortController();
    api<Data>(path, { signal: ending.signal }).then(
      (data) => setState({ path, data, error: null }),
      (error: unknown) => {
        if (!ending.signal.aborted) setState({ path, data: null, error });
      },
    );
    return () => ending.abort();
  }, [path, round]);
  const reload = useCallback(() => setRound((value) => value + 1), []);
  const current = state.path === path;
  return { data: current ? state.data : null, error: current ? state.error : null, reload };
}

export function isFinal(job: Job): boolean {
  return job.status !== "queued" && job.status !== "running";
}

/** A job, followed until it has ended. */
export function useJob<Kind extends Job>(path: string, id: string): Loaded<Kind> {
  const loaded = useResource<Kind>(path);
  const waiting = loaded.data !== null && !isFinal(loaded.data);
  const reload = useRef(loaded.reload);
  useEffect(() => {
    if (!waiting) return;
    // What changed before the stream was open is seen by asking once more.
    return listen(
      (event) => (event.data as { id?: string }).id === id && reload.current(),
      () => reload.current(),
    );
  }, [waiting, id]);
  return loaded;
}

/** Call `onChange`, at most once in `pauseMs`, whenever something of these kinds happens. */
export function useChanges(kinds: readonly string[], onChange: () => void, pauseMs = 500): void {
  const latest = useRef(onChange);
  latest.current = onChange;
  const wanted = kinds.join(",");
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const change = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current();
      }, pauseMs);
    };
    const end = listen((event) => wanted.split(",").includes(event.kind) && change(), change);
    return () => (clearTimeout(timer), end());
  }, [wanted, pauseMs]);
}
