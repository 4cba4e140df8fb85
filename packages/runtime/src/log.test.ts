import { expect, it } from "vitest";
import { createLogger } from "./log.ts";

it("logs every error, and the stacks of the first twenty alone", () => {
  const lines: string[] = [];
  const log = createLogger("test", (line) => (lines.push(line), ""));
  for (let count = 0; count < 50; count++) log.error({ err: new TypeError(`failure ${count}`) }, "request failed");
  const errors = lines.map(
    (line) => (JSON.parse(line) as { err: { type: string; message: string; stack?: string } }).err,
  );
  expect(errors.map(({ message }) => message)).toEqual(Array.from({ length: 50 }, (_, count) => `failure ${count}`));
  expect(errors.every(({ type }) => type === "TypeError")).toBe(true);
  expect(errors.filter(({ stack }) => stack !== undefined)).toHaveLength(20);
});
