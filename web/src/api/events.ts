/** Server-sent events by fetch: EventSource cannot send a key.
 *
 * A browser opens six connections to a host over HTTP/1.1, for all tabs together. So a tab has one
 * stream for all that listen in it, and none while it is hidden.
 */

import { send } from "./client";

export interface ServerEvent {
  id: string | null;
  kind: string;
  data: unknown;
}

interface Listener {
  onEvent: (event: ServerEvent) => void;
  onOpen: () => void;
}

const AGAIN_MS = 2_000;
const listeners = new Set<Listener>();
let stream: AbortController | null = null;

/**
 * Call `onEvent` for every event from now on, and `onOpen` when the stream begins, now or after a
 * break: what happened before is not in it. The result ends it.
 */
export function listen(onEvent: Listener["onEvent"], onOpen: Listener["onOpen"]): () => void {
  const listener = { onEvent, onOpen };
  listeners.add(listener);
  if (stream !== null) onOpen();
  adjust();
  return () => {
    listeners.delete(listener);
    adjust();
  };
}

/** Have a stream where someone listens and looks, else none. */
function adjust(): void {
  const wanted = listeners.size > 0 && document.visibilityState === "visible";
  if (wanted && stream === null) {
    stream = new AbortController();
    void follow(stream.signal);
  } else if (!wanted) {
    stream?.abort();
    stream = null;
  }
}

/** Called once when the dashboard starts. */
export function followVisibility(): void {
  document.addEventListener("visibilitychange", adjust);
}

async function follow(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const response = await send("/v1/events", { signal });
      for (const { onOpen } of [...listeners]) onOpen();
      for await (const event of eventsOf(response)) {
        for (const { onEvent } of [...listeners]) onEvent(event);
      }
    } catch {
      // The connection broke, or the service is away: try again below.
    }
    await pause(AGAIN_MS, signal);
  }
}

async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  const parser = new EventParser();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield* parser.push(value);
  }
}

/** Text as it arrives -> the events that are complete by then. */
export class EventParser {
  private rest = "";

  push(text: string): ServerEvent[] {
    const blocks = (this.rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.rest = blocks.pop()!;
    return blocks.map(parse).filter((event) => event !== null);
  }
}

function parse(block: string): ServerEvent | null {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const at = line.indexOf(":");
    if (at <= 0) continue; // a comment, which keeps the connection alive
    const [name, value] = [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
    fields.set(name, fields.has(name) ? `${fields.get(name)}\n${value}` : value);
  }
  const data = fields.get("data");
  if (data === undefined) return null;
  return { id: fields.get("id") ?? null, kind: fields.get("event") ?? "", data: JSON.parse(data) };
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
