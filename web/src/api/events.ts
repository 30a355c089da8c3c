/** Server-sent events by fetch: EventSource cannot send a key. */

import { send } from "./client";

export interface ServerEvent {
  id: string | null;
  kind: string;
  data: unknown;
}

const AGAIN_MS = 2_000;

/**
 * Call `onEvent` for every event of `/v1/events`, and `onOpen` whenever a stream begins: what
 * happened before is not in it. Connects again where it broke off. The result ends it.
 */
export function listen(
  query: string,
  onEvent: (event: ServerEvent) => void,
  onOpen: () => void,
): () => void {
  const ending = new AbortController();
  void follow(query, ending.signal, onEvent, onOpen);
  return () => ending.abort();
}

async function follow(
  query: string,
  signal: AbortSignal,
  onEvent: (event: ServerEvent) => void,
  onOpen: () => void,
): Promise<void> {
  let last: string | null = null;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = last === null ? {} : { "Last-Event-ID": last };
      const response = await send(`/v1/events${query}`, { signal, headers });
      onOpen();
      for await (const event of eventsOf(response)) {
        last = event.id ?? last;
        onEvent(event);
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
