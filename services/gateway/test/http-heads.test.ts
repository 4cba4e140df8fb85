import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HttpUnderTest, startHttpUnderTest } from "./http-under-test.ts";

let http: HttpUnderTest;
beforeAll(async () => {
  http = await startHttpUnderTest();
});
afterAll(() => http.stop());

const CLOSE = "connection: close\r\n";

describe("a target in absolute form", () => {
  it.each([
    ["GET http://a/ok", 200],
    ["GET HTTP://A.example:8080/ok?x=1", 200],
    ["GET https://a/ok", 200],
    ["GET http://[::1]:80/ok", 200],
    ["HEAD http://a/ok", 200],
    ["OPTIONS http://a/ok", 204],
    ["GET http://a", 404],
    ["GET http://a?/ok", 404],
    ["GET http://ok", 404],
    ["GET http://a//ok", 404],
  ])("is served as its path: %s", async (line, status) => {
    const answer = await http.exchangeBytes(`${line} HTTP/1.1\r\nhost: other.example\r\n${CLOSE}\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it("is read with its body", async () => {
    const head = `POST http://a/body HTTP/1.1\r\nhost: b\r\ncontent-length: 3\r\n${CLOSE}\r\n`;
    expect(await http.exchangeBytes(`${head}abc`)).toContain('{"size":3}');
  });
});

describe("a client that expects 100 Continue", () => {
  const head = (path: string, length: number, expectation = "100-continue"): string =>
    `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\nexpect: ${expectation}\r\n\r\n`;

  it.each(["100-continue", "100-Continue", "100-CONTINUE, 100-continue"])(
    "is told to send its body: %s",
    async (expectation) => {
      const socket = await http.connected();
      let answer = "";
      socket.on("data", (bytes: Buffer) => (answer += bytes.toString()));
      socket.write(head("/body", 3, expectation));
      await eventually(() => answer === "HTTP/1.1 100 Continue\r\n\r\n");
      socket.write("abc");
      await eventually(() => answer.endsWith('{"size":3}'));
      socket.destroy();
    },
  );

  it.each([
    ["a refused credential", "/refused", 3, 401],
    ["a body that is announced too large", "/body", 1_001, 413],
    ["an unknown path", "/nothing", 3, 404],
  ])("gets the refusal without it for %s, and the connection is closed", async (_, path, length, status) => {
    const answer = await http.exchangeBytes(head(path, length));
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer.toLowerCase()).toContain("connection: close");
    expect(answer).not.toContain("100 Continue");
  });

  it.each(["200-ok", "100-continue, other", "100-continue; q=1", "x100-continuex"])(
    "and something else is refused with 417: %s",
    async (expectation) => {
      const answer = await http.exchangeBytes(head("/body", 3, expectation));
      expect(answer).toMatch(/^HTTP\/1\.1 417 [^]*"code":"expectation_failed"/);
      expect(answer).not.toContain("100 Continue");
    },
  );

  it("gets no interim response in HTTP/1.0, which has none", async () => {
    const bytes = "POST /body HTTP/1.0\r\nexpect: other\r\ncontent-length: 3\r\n\r\nabc";
    const answer = await http.exchangeBytes(bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*\{"size":3\}$/);
  });
});

it("bounds headers by their bytes: none is dropped because of their number", async () => {
  const many = Array.from({ length: 2_500 }, () => "a:\r\n").join("");
  const answer = await http.exchangeBytes(`GET /ok HTTP/1.1\r\nhost: a\r\n${many}host: b\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 400 [^]*more than one Host/);
});
