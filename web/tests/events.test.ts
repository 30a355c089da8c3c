import { expect, it } from "vitest";
import { EventParser } from "../src/api/events";

it("gives events when they are complete, however they arrive", () => {
  const parser = new EventParser();
  expect(parser.push(": connected\nretry: 2000\n\nevent: run\nda")).toEqual([]);
  expect(parser.push('ta: {"id": "run_1"}\nid: 7\n')).toEqual([]);
  expect(parser.push("\n")).toEqual([{ id: "7", kind: "run", data: { id: "run_1" } }]);
});

it("joins lines of data and takes both kinds of line ends", () => {
  expect(new EventParser().push('data: {"a":\r\ndata: 1}\r\n\r\n')).toEqual([{ id: null, kind: "", data: { a: 1 } }]);
});
