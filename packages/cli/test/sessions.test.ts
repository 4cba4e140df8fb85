import type { ServiceImpl } from "@connectrpc/connect";
import { type ListSessionsRequest, SessionService } from "@routeplane/contracts/auth";
import { newId } from "@routeplane/domain";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const ID = newId("ses");
const SESSION = {
  id: ID,
  name: "bootstrap",
  namespaceId: "ns_1",
  namespaceName: "default",
  keyId: "key_1",
  operatorId: "op_1",
  scopes: ["keys:*"],
  createdAt: AT,
  expiresAt: { seconds: AT.seconds + 43_200n, nanos: 0 },
  address: "127.0.0.1",
};
const SHOWN = {
  id: ID,
  name: "bootstrap",
  namespace_id: "ns_1",
  namespace_name: "default",
  key_id: "key_1",
  operator_id: "op_1",
  scopes: ["keys:*"],
  created_at: "2026-05-01T00:00:00.000Z",
  expires_at: "2026-05-01T12:00:00.000Z",
  revoked_at: null,
  address: "127.0.0.1",
};

const nodeWith = (services: Partial<ServiceImpl<typeof SessionService>>): Promise<FakeNode> =>
  startFakeNode((router) => router.service(SessionService, services));

const run = (node: FakeNode, ...argv: string[]) =>
  runCli(["cloud", "sessions", ...argv], {
    ROUTEPLANE_HOME: "/nonexistent",
    ROUTEPLANE_URL: node.url,
    ROUTEPLANE_API_KEY: "rp_live_env",
    ROUTEPLANE_OPERATOR_KEY: "rpo_live_env",
  });

describe.concurrent("cloud sessions", () => {
  it("list shows the sessions that have not ended, to the key or, with --node, to the operator credential", async () => {
    const received: (ListSessionsRequest & { by: string | null })[] = [];
    await using node = await nodeWith({
      listSessions: (request, { requestHeader }) => {
        received.push({ ...request, by: requestHeader.get("authorization") });
        return { sessions: [SESSION], nextPageToken: "" };
      },
    });
    const json = await run(node, "list", "--json");
    expect(json).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(json.stdout)).toEqual({ data: [SHOWN], next_page_token: null });
    const shown = await run(node, "ls", "--node", "--ended");
    expect(shown.stdout).toContain(ID);
    expect(shown.stdout).toContain("bootstrap");
    expect(received).toMatchObject([
      { showEnded: false, by: "Bearer rp_live_env" },
      { showEnded: true, by: "Bearer rpo_live_env" },
    ]);
  });

  it("list says so if nobody is signed in", async () => {
    await using node = await nodeWith({ listSessions: () => ({}) });
    expect((await run(node, "list")).stderr).toContain("Nobody is signed in at the console.");
  });

  it("revoke ends a session by its id, and refuses an id of another kind", async () => {
    const ended: string[] = [];
    await using node = await nodeWith({
      revokeSession: ({ id }) => (ended.push(id), { session: { ...SESSION, revokedAt: AT } }),
    });
    expect(await run(node, "revoke", "key_1", "--yes")).toMatchObject({ code: 2 });
    expect(ended).toEqual([]);
    const json = await run(node, "revoke", ID, "--yes", "--json");
    expect(JSON.parse(json.stdout)).toEqual({ ...SHOWN, revoked_at: "2026-05-01T00:00:00.000Z" });
    expect(ended).toEqual([ID]);
  });
});
