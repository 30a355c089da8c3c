/** Numbers as people read them. Bytes are always in MiB or GiB, so that they compare at a glance. */

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const LOCALE = "en-US";
// Made once: `toLocaleString` makes one for each number, and a page has hundreds.
const WHOLE = new Intl.NumberFormat(LOCALE);
const TICK = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 4 });
const FIXED = [0, 1, 2].map(
  (digits) => new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);

export function bytes(value: number): string {
  if (Math.abs(value) >= GIB) return `${fixed(value / GIB, 2)} GiB`;
  if (value !== 0 && Math.abs(value) < 0.01 * MIB) return "< 0.01 MiB";
  return `${fixed(value / MIB, Math.abs(value) < 10 * MIB ? 2 : 1)} MiB`;
}

/** The unit that `bytes` writes values up to this one in. */
export function byteUnit(most: number): number {
  return most >= GIB ? GIB : MIB;
}

export interface ByteAxis {
  max: number;
  interval: number;
  format: (value: number) => string;
}

/** An axis from 0 with room for values up to this one: four or five round steps in one unit. */
export function byteAxis(highest: number): ByteAxis {
  const unit = byteUnit(highest);
  const needed = Math.max((1.02 * highest) / unit, 1e-3);
  const power = 10 ** Math.floor(Math.log10(needed / 4));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= needed / 5)!;
  const max = step * Math.ceil(needed / step);
  const suffix = unit === GIB ? "GiB" : "MiB";
  const format = (value: number) => (value === 0 ? "0" : `${TICK.format(value / unit)} ${suffix}`);
  return { max: max * unit, interval: step * unit, format };
}

export function exactBytes(value: number): string {
  return `${integer(value)} bytes`;
}

export function integer(value: number): string {
  return WHOLE.format(value);
}

function fixed(value: number, digits: number): string {
  return FIXED[digits]!.format(value);
}

/** 124.4 M, 8.03 B: counts of parameters and operations. */
export function count(value: number): string {
  return short(value, ["", " k", " M", " B", " T"]);
}

export function flops(value: number): string {
  return `${short(value, ["", " k", " M", " G", " T", " P", " E"])}FLOP`.replace(/^(\S+?)FLOP/, "$1 FLOP");
}

function short(value: number, suffixes: string[]): string {
  let index = 0;
  while (Math.abs(value) >= 1000 && index < suffixes.length - 1) {
    value /= 1000;
    index += 1;
  }
  const digits = index === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${fixed(value, digits)}${suffixes[index]}`;
}

export function seconds(value: number): string {
  if (value < 1e-3) return `${fixed(value * 1e6, 0)} µs`;
  if (value < 1) return `${fixed(value * 1e3, value < 0.1 ? 1 : 0)} ms`;
  return value < 120 ? `${fixed(value, 2)} s` : `${fixed(value / 60, 1)} min`;
}

/** A signed relative error; "exact" only where it is. */
export function relativeError(value: number): string {
  if (value === 0) return "exact";
  const percent = Math.abs(value * 100);
  const sign = value > 0 ? "+" : "−";
  const digits = percent.toLocaleString(LOCALE, { maximumSignificantDigits: 2 });
  return percent < 1 ? `${sign}${digits} %` : `${sign}${fixed(percent, 1)} %`;
}

/** 1.03 -> "+3.0 %": what a ratio adds. */
export function added(ratio: number): string {
  const percent = (ratio - 1) * 100;
  return `${percent < 0 ? "−" : "+"}${fixed(Math.abs(percent), 1)} %`;
}

export function moment(text: string): string {
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** "2 min ago": how long something is past. */
export function ago(text: string, now = Date.now()): string {
  const past = Math.max(0, (now - Date.parse(text)) / 1000);
  const steps: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [size, unit] of steps) {
    if (past >= size) return `${Math.floor(past / size)} ${unit} ago`;
  }
  return past < 5 ? "just now" : `${Math.floor(past)} s ago`;
}

/** Bytes of what a person writes: `8GiB`, `512 MB`, `1024`; null where it is none. */
export function parseBytes(text: string): number | null {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?)b|b|bytes)?\s*$/i.exec(text);
  if (!found) return null;
  const [, number, prefix, binary] = found;
  const power = prefix ? "kmgt".indexOf(prefix.toLowerCase()) + 1 : 0;
  return Math.round(Number(number) * (binary ? 1024 : 1000) ** power);
}
