/** The API key: kept for this tab only, and never put into an address. */

const ENTRY = "headroom-key";

interface Asking {
  detail: string | null;
  wrong: boolean;
  given: Promise<void>;
  answer: () => void;
}

let asking: Asking | null = null;
const listeners = new Set<() => void>();

export function currentKey(): string | null {
  return sessionStorage.getItem(ENTRY);
}

/** What the service said when it refused, while a key is being asked for. */
export function pendingQuestion(): Asking | null {
  return asking;
}

export function onKeyChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Wait until a key other than the refused one is given; calls made meanwhile wait for the same. */
export async function askForKey(refused: string | null, detail: string | null): Promise<void> {
  if (currentKey() !== refused) return;
  if (asking === null) {
    let answer = () => {};
    const given = new Promise<void>((resolve) => (answer = resolve));
    asking = { detail, wrong: refused !== null, given, answer };
    tell();
  }
  await asking.given;
}

export function giveKey(key: string): void {
  sessionStorage.setItem(ENTRY, key);
  asking?.answer();
  asking = null;
  tell();
}

export function forgetKey(): void {
  sessionStorage.removeItem(ENTRY);
  tell();
}

function tell(): void {
  for (const listener of listeners) listener();
}
