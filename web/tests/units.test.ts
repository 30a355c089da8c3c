import { describe, expect, it } from "vitest";
import { added, byteAxis, bytes, flops, parseBytes, relativeError } from "../src/units";

describe("bytes", () => {
  it.each([
    [0, "0.00 MiB"],
    [1, "< 0.01 MiB"],
    [2 ** 20, "1.00 MiB"],
    [200 * 2 ** 20, "200.0 MiB"],
    [2 ** 30, "1.00 GiB"],
    [1.5 * 2 ** 40, "1,536.00 GiB"],
  ])("%d is %s", (value, text) => expect(bytes(value)).toBe(text));
});

describe("byteAxis", () => {
  it("has room for the highest, few round steps, and one unit", () => {
    for (const value of [1, 4e5, 5e6, 327 * 2 ** 20, 3.11 * 2 ** 30, 2 ** 34, 67.04 * 2 ** 30]) {
      const { max, interval } = byteAxis(value);
      expect(max).toBeGreaterThan(value);
      if (value > 1e4) expect(max).toBeLessThan(1.4 * value);
      expect(max / interval).toBeLessThanOrEqual(6);
      expect(Math.abs(max / interval - Math.round(max / interval))).toBeLessThan(1e-9);
    }
  });

  it("writes its steps shortly", () => {
    const { max, interval, format } = byteAxis(3.11 * 2 ** 30);
    expect([0, interval, 2 * interval, max].map(format)).toEqual(["0", "1 GiB", "2 GiB", "4 GiB"]);
    expect(format(0.1 * 3 * 2 ** 30)).toBe("0.3 GiB");
  });
});

describe("parseBytes", () => {
  it.each([
    ["24GiB", 24 * 2 ** 30],
    [" 1.5 gb ", 1.5e9],
    ["512 MiB", 2 ** 29],
    ["1024", 1024],
    ["", null],
    ["much", null],
    ["-1GiB", null],
  ])("%j is %j", (text, value) => expect(parseBytes(text)).toBe(value));
});

describe("relativeError", () => {
  it("says exact only of what is", () => {
    expect(relativeError(0)).toBe("exact");
    expect(relativeError(-6e-10)).toBe("−0.00000006 %");
    expect(relativeError(0.0213)).toBe("+2.1 %");
  });
});

it("writes ratios as what they add", () => expect([added(1.031), added(0.5)]).toEqual(["+3.1 %", "−50.0 %"]));
it("writes FLOPs with their prefix", () => expect(flops(788e9)).toBe("788 GFLOP"));
