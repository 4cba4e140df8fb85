import { type AddressInfo, createServer } from "node:net";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import { KeyService } from "@routeplane/contracts/auth";
import { PolicyService } from "@routeplane/contracts/policy";
import { RequestStatus, UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { isNodeHealthy } from "../src/client.ts";
import { runCli, spawnCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeHttpServer, startFakeNode } from "./fake-node.ts";

const CREATED = { seconds: 1_777_593_600n, nanos: 0 };
const KEY = { id: "key_1", name: "my-agent", prefix: "rp_live_abcdefgh", scopes: ["usage:read"], createdAt: CREATED };

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
});

const keys = (implementation: Partial<ServiceImpl<typeof KeyService>>): Promise<FakeNode> =>
  startFakeNode((router) => void router.service(KeyService, implementation));

describe.concurrent("the health of a node", () => {
  it("is known within 5 s, even if the headers of its answer arrive byte by byte", async () => {
    const server = createServer((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nx-slow: ");
      const drip = setInterval(() => socket.write("a"), 500);
      socket.on("error", () => undefined).on("close", () => clearInterval(drip));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    expect(await isNodeHealthy(`http://127.0.0.1:${port}`)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe.concurrent("keys", () => {
  it("mint: prints the token on stdout, and on stderr that it is shown once", async () => {
    await using node = await keys({ mintKey: () => ({ key: KEY, token: "rp_live_secret" }) });
    const argv = ["cloud", "keys", "mint", "--name", "my-agent", "--scope", "usage:read"];
    const text = await runCli(argv, as(node.url));
    expect(text).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^token +rp_live_secret$/m),
      stderr: expect.stringContaining("shown once"),
    });
    const json = await runCli([...argv, "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toMatchObject({ id: "key_1", parent_id: null, token: "rp_live_secret" });
    expect(json.stderr).toBe("");
  });

  it("revoke: does not ask without a terminal", async () => {
    await using node = await keys({ revokeKey: ({ id }) => ({ key: { ...KEY, id, revokedAt: CREATED } }) });
    const { code, stdout } = await runCli(["cloud", "keys", "revoke", "key_9", "--json"], as(node.url));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ id: "key_9", revoked_at: "2026-05-01T00:00:00.000Z" });
  });

  it("list: escapes control characters in names", async () => {
    await using node = await keys({ listKeys: () => ({ keys: [{ ...KEY, name: "a\u001b]0;gone\u0007\nfake row" }] }) });
    const { stdout } = await runCli(["cloud", "keys", "list"], as(node.url));
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stdout).toContain("a\\u001b]0;gone\\u0007\\u000afake row");
  });

  it("list: ends quietly when the reader of stdout closes it", async () => {
    const many = Array.from({ length: 5000 }, (_, index) => ({ ...KEY, id: `key_${index}` }));
    await using node = await keys({ listKeys: () => ({ keys: many }) });
    const child = spawnCli(["cloud", "keys", "list"], as(node.url));
    child.stdout.once("data", () => child.stdout.destroy());
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });
});

describe.concurrent("lists", () => {
  it("report on stderr that they are empty, and print an empty list as JSON", async () => {
    await using node = await startFakeNode(
      (router) => void router.service(PolicyService, { listPolicies: () => ({}) }),
    );
    const text = await runCli(["cloud", "policy", "list"], as(node.url));
    expect(text).toEqual({ code: 0, stdout: "", stderr: expect.stringContaining("There are no policies") });
    const json = await runCli(["cloud", "policy", "list", "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toEqual({ data: [], next_page_token: null });
  });

  it("of requests show one page, and how to get the next", async () => {
    const received: object[] = [];
    await using node = await startFakeNode(
      (router) =>
        void router.service(UsageService, {
          listRequests({ pageSize, pageToken }) {
            received.push({ pageSize, pageToken });
            const request = { id: "req_1", createdAt: CREATED, status: RequestStatus.SUCCEEDED };
            return { requests: Array.from({ length: pageSize }, () => request), nextPageToken: "t2" };
          },
        }),
    );
    const json = await runCli(["cloud", "requests", "--limit", "1", "--page-token", "t1", "--json"], as(node.url));
    expect(JSON.parse(json.stdout)).toMatchObject({
      data: [{ id: "req_1", status: "succeeded" }],
      next_page_token: "t2",
    });
    const text = await runCli(["cloud", "requests"], as(node.url));
    expect(text.stderr).toContain("--page-token t2");
    expect(received).toEqual([
      { pageSize: 1, pageToken: "t1" },
      { pageSize: 25, pageToken: "" },
    ]);
  });
});

describe.concurrent("a refusal", () => {
  it.each([
    [Code.Unauthenticated, "CREDENTIAL_REVOKED", "unauthenticated", 4],
    [Code.PermissionDenied, "SCOPE_MISSING", "permission_denied", 4],
    [Code.NotFound, "RESOURCE_NOT_FOUND", "not_found", 1],
    [Code.FailedPrecondition, "STATE_CONFLICT", "failed_precondition", 1],
    [Code.Unavailable, "DEPENDENCY_UNAVAILABLE", "unavailable", 1],
    [Code.Internal, "INTERNAL", "internal", 1],
  ])("%i %s is %s, exit code %i", async (code, reason, name, exitCode) => {
    await using node = await keys({
      getKey: () => {
        throw refusal(code, reason, "the message", { scope: "keys:read" });
      },
    });
    const json = await runCli(["cloud", "keys", "get", "key_1", "--json"], as(node.url));
    expect({ code: json.code, stdout: json.stdout }).toEqual({ code: exitCode, stdout: "" });
    expect(JSON.parse(json.stderr)).toMatchObject({
      error: { code: name, reason, message: "the message", metadata: { scope: "keys:read" }, request_id: "req-42" },
    });
  });

  it("names the fields and what to do", async () => {
    await using node = await keys({
      mintKey: () => {
        throw refusal(
          Code.PermissionDenied,
          "SCOPE_EXCEEDS_PARENT",
          "scopes: beyond this key: policy:write",
          { scopes: "policy:write" },
          [{ field: "scopes", description: "beyond this key: policy:write" }],
        );
      },
    });
    const argv = ["cloud", "keys", "mint", "--name", "x", "--scope", "policy:write"];
    const text = await runCli(argv, as(node.url));
    expect(text).toMatchObject({ code: 4, stdout: "" });
    expect(text.stderr).toMatch(/^error: scopes: beyond this key: policy:write\n.*at most what it holds/);
    const { stderr } = await runCli([...argv, "--json"], as(node.url));
    expect(JSON.parse(stderr)).toMatchObject({
      error: { fields: [{ field: "scopes", rule: "beyond this key: policy:write" }] },
    });
  });
});

describe.concurrent("a fault of the node", () => {
  it("shows the request id", async () => {
    await using node = await keys({
      getKey: () => {
        throw refusal(Code.Internal, "INTERNAL", "internal error");
      },
    });
    const { stderr } = await runCli(["cloud", "keys", "get", "key_1"], as(node.url));
    expect(stderr).toBe("error: internal error\nrequest id: req-42\n");
  });
});

describe.concurrent("no node", () => {
  it("is at the address: reports the address and how to start one", async () => {
    const { code, stderr } = await runCli(["cloud", "keys", "list"], as("http://127.0.0.1:1"));
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/127\.0\.0\.1:1 .*\n.*npm start/) });
  });

  it("is at the address, but another server: reports that it is not a node", async () => {
    await using other = await startFakeHttpServer((_, response) => {
      response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not here</h1>");
    });
    const { code, stderr } = await runCli(["cloud", "keys", "list", "--json"], as(other.url));
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { reason: "ANSWER_UNINTELLIGIBLE" } });
  });

  it("answers in time: reports that it waits, and fails after 10 s", async () => {
    await using mute = await startFakeHttpServer(() => undefined);
    const { code, stderr } = await runCli(["cloud", "keys", "list"], as(mute.url));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Waiting for .*\nerror: no answer from .* within 10 s\n/);
  });

  it("answers before the connection breaks: reports that it broke", async () => {
    await using broken = await startFakeHttpServer((request) => void request.socket.destroy());
    const { code, stderr } = await runCli(["cloud", "keys", "list", "--json"], as(broken.url));
    expect(code).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { reason: "NODE_UNREACHABLE" } });
  });
});
