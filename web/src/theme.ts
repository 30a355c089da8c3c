/** Dark or light: as the system says, unless the reader chooses. */

import { useEffect, useState } from "preact/hooks";

export type Theme = "light" | "dark";
const ENTRY = "headroom-theme";
const DARK = "(prefers-color-scheme: dark)";
const listeners = new Set<() => void>();

export function currentTheme(): Theme {
  const chosen = localStorage.getItem(ENTRY);
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia(DARK).matches ? "dark" : "light";
}

function applyTheme(): void {
  document.documentElement.dataset["theme"] = currentTheme();
  for (const listener of listeners) listener();
}

export function toggleTheme(): void {
  localStorage.setItem(ENTRY, currentTheme() === "dark" ? "light" : "dark");
  applyTheme();
}

export function useTheme(): Theme {
  const [theme, setTheme] = useState(currentTheme);
  useEffect(() => {
    const change = () => setTheme(currentTheme());
    listeners.add(change);
    return () => void listeners.delete(change);
  }, []);
  return theme;
}

/** From now on, the page has the theme's colours. */
export function followTheme(): void {
  matchMedia(DARK).addEventListener("change", applyTheme);
  applyTheme();
}
