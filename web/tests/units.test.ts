import { describe, expect, it } from "vitest";
import { added, bytes, flops, parseBytes, relativeError } from "../src/units";

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
