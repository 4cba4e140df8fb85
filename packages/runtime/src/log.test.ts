import { expect, it } from "vitest";
import { createLogger, logLine } from "./log.ts";

it("logs every error, but only the stacks of the first twenty", () => {
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

it("writes a line of given fields as any other, redacted and at its level", () => {
  const lines: string[] = [];
  const redact = (line: string): string => (lines.push(line.replaceAll("secret", "…")), "");
  const log = createLogger("test", redact, "info", { process: 2 });
  logLine(log, '"status":200,"path":"/a \\"secret\\""', "request");
  log.info({ status: 200, path: '/a "secret"' }, "request");
  logLine(log.child({ more: 1 }), '"status":200', "request");
  const [own, usual, ofChild] = lines.map((line) => ({ ...(JSON.parse(line) as object), time: "" }));
  expect(own).toEqual({
    level: "info",
    time: "",
    service: "test",
    process: 2,
    status: 200,
    path: '/a "…"',
    msg: "request",
  });
  expect(own).toEqual(usual);
  expect(ofChild).toMatchObject({ more: 1, status: 200, msg: "request" });
  logLine(createLogger("test", redact, "warn"), '"status":200', "request");
  expect(lines).toHaveLength(3);
});
