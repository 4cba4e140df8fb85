import type { ServiceImpl } from "@connectrpc/connect";
import { type MintServiceCredentialRequest, ServiceCredentialService } from "@routeplane/contracts/auth";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const SERVICE = {
  id: "svc_1",
  name: "billing",
  prefix: "rps_live_abcdefgh",
  scopes: ["keys:verify"],
  namespaceIds: ["ns_1"],
  createdAt: AT,
};
const SHOWN = {
  id: "svc_1",
  name: "billing",
  prefix: "rps_live_abcdefgh",
  scopes: ["keys:verify"],
  namespace_ids: ["ns_1"],
  account_id: null,
  created_at: "2026-05-01T00:00:00.000Z",
  expires_at: null,
  revoked_at: null,
  revoked_reason: null,
};

const nodeWith = (services: Partial<ServiceImpl<typeof ServiceCredentialService>>): Promise<FakeNode> =>
  startFakeNode((router) => router.service(ServiceCredentialService, services));

const as = (url: string): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: "rp_live_env",
  ROUTEPLANE_OPERATOR_KEY: "rpo_live_env",
});
const run = (node: FakeNode, ...argv: string[]) => runCli(["admin", "service-credentials", ...argv], as(node.url));

describe.concurrent("admin service-credentials", () => {
  it("mint sends the options as the operator, and shows the token once", async () => {
    const received: MintServiceCredentialRequest[] = [];
    await using node = await nodeWith({
      mintServiceCredential: (request) => (received.push(request), { serviceCredential: SERVICE, token: "rps_secret" }),
    });
    const argv = [
      "--name",
      "billing",
      "--scope",
      "keys:verify, policy:admit",
      "--namespace",
      "a",
      "--namespace",
      "ns_1",
    ];
    const json = await run(node, "create", ...argv, "--expires-at", "2026-05-01T02:00:00+02:00", "--json");
    expect(json).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(json.stdout)).toEqual({ ...SHOWN, token: "rps_secret" });
    const scopes = ["keys:verify", "policy:admit"];
    const bound = { namespaces: ["a", "ns_1"], allNamespaces: false };
    expect(received).toMatchObject([{ name: "billing", scopes, ...bound, expiresAt: AT }]);
    expect(node.authorizations).toEqual(["Bearer rpo_live_env"]);
    const text = await run(node, "mint", "--name", "x", "--scope", "keys:verify", "--all-namespaces");
    expect(text.stdout.match(/rps_secret/g)).toHaveLength(1);
    expect(received[1]).toMatchObject({ namespaces: [], allNamespaces: true });
  });

  it.each([[[]], [["--namespace", "a", "--all-namespaces"]]])("mint with %j is a usage error", async (namespaces) => {
    await using node = await nodeWith({});
    const refused = await run(node, "mint", "--name", "x", "--scope", "keys:verify", ...namespaces);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain("either --namespace or --all-namespaces");
  });

  it("list shows the namespaces, and revoke and get take the name of an active one", async () => {
    const ended = { ...SERVICE, id: "svc_0", revokedAt: AT, revokedReason: "left" };
    const expired = { ...SERVICE, id: "svc_2", expiresAt: AT, namespaceIds: [], allNamespaces: true };
    const named: string[] = [];
    await using node = await nodeWith({
      listServiceCredentials: ({ pageToken }) =>
        pageToken === ""
          ? { serviceCredentials: [ended, SERVICE], nextPageToken: "more" }
          : { serviceCredentials: [expired] },
      getServiceCredential: ({ id }) => (named.push(`get ${id}`), { serviceCredential: SERVICE }),
      revokeServiceCredential: ({ id, reason }) => (named.push(`revoke ${id} ${reason}`), { serviceCredential: ended }),
    });
    const table = await run(node, "list", "-o", "table");
    expect(table.stdout).toMatch(/svc_1 .* active +ns_1 /);
    expect(table.stdout).toMatch(/svc_2 .* expired +all /);
    expect(JSON.parse((await run(node, "get", "billing", "--json")).stdout)).toEqual(SHOWN);
    expect(await run(node, "revoke", "Billing", "--yes", "--reason", "leaked")).toMatchObject({ code: 0 });
    expect(await run(node, "revoke", "nobody", "--yes")).toMatchObject({ code: 1 });
    expect(named).toEqual(["get svc_1", "revoke svc_1 leaked"]);
  });

  it("rotate shows the new token, and what the old one may still do", async () => {
    await using node = await nodeWith({
      getServiceCredential: () => ({ serviceCredential: SERVICE }),
      rotateServiceCredential: () => ({ serviceCredential: SERVICE, token: "rps_new", graceEndsAt: AT }),
    });
    const { code, stdout, stderr } = await run(node, "rotate", "svc_1");
    expect({ code, token: stdout.match(/rps_new/g) }).toEqual({ code: 0, token: ["rps_new"] });
    expect(stderr).toContain("only to do what the new one does");
  });
});
