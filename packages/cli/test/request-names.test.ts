import { Code, type ServiceImpl } from "@connectrpc/connect";
import { IdentityService, KeyService, NamespaceService } from "@routeplane/contracts/auth";
import { RequestStatus, UsageAdminService, UsageService } from "@routeplane/contracts/usage";
import { describe, expect, it } from "vitest";
import { runCli } from "./cli-process.ts";
import { type FakeNode, refusal, startFakeNode } from "./fake-node.ts";

const AT = { seconds: 1_777_593_600n, nanos: 0 };
const as = (url: string, token = "rp_live_env"): Record<string, string> => ({
  ROUTEPLANE_HOME: "/nonexistent",
  ROUTEPLANE_URL: url,
  ROUTEPLANE_API_KEY: token,
});
const requestOf = (keyId: string) => ({ id: `req_${keyId}`, keyId, status: RequestStatus.SUCCEEDED, createdAt: AT });
const nameOf = (id: string): string => `bot of ${id}`;

interface Scenario {
  /** Keys of the requests of each page of the log. */
  readonly pages: readonly (readonly string[])[];
  readonly keys: Partial<ServiceImpl<typeof KeyService>>;
}

const startNode = ({ pages, keys }: Scenario): Promise<FakeNode> =>
  startFakeNode((router) => {
    const key = { namespaceId: "ns_1", namespaceName: "staging" };
    router.service(IdentityService, { whoAmI: () => ({ identity: { case: "key", value: key } }) });
    router.service(KeyService, keys);
    router.service(UsageService, {
      listRequests({ pageToken }) {
        const page = Number(pageToken || 0);
        const nextPageToken = page + 1 < pages.length ? String(page + 1) : "";
        return { requests: pages[page]?.map(requestOf) ?? [], nextPageToken };
      },
      getRequest: ({ id }) => ({ request: requestOf(id.replace("req_", "")) }),
      getUsage: () => ({ from: AT, to: AT, groups: (pages[0] ?? []).map((keyId) => ({ keyId })) }),
    });
  });

/** Keys that are read one by one, and a list of the ids that were. */
function readableKeys(): { readonly keys: Scenario["keys"]; readonly read: string[] } {
  const read: string[] = [];
  const getKey = ({ id }: { id: string }) => {
    read.push(id);
    return { key: { id, name: nameOf(id), createdAt: AT } };
  };
  return { keys: { getKey }, read };
}

describe.concurrent("names beside the ids of requests", () => {
  it("are in lists and exports of any number of pages, and each key is read once", async () => {
    const { keys, read } = readableKeys();
    await using node = await startNode({ pages: [["key_1", "key_2"], ["key_2", "key_1"], ["key_3"]], keys });
    const argv = ["cloud", "requests", "export", "--format"];
    const { stdout } = await runCli([...argv, "jsonl"], as(node.url));
    const rows = stdout.trim().split("\n");
    const names = rows.map((line) => (JSON.parse(line) as { key_id: string; key_name: string }).key_name);
    expect(names).toEqual(["key_1", "key_2", "key_2", "key_1", "key_3"].map(nameOf));
    expect(JSON.parse(rows[0] ?? "")).toMatchObject({ namespace_name: "staging" });
    expect(read.toSorted()).toEqual(["key_1", "key_2", "key_3"]);
    const csv = (await runCli([...argv, "csv"], as(node.url))).stdout.split("\r\n");
    expect(csv[0]).toMatch(/,key_name,namespace_name$/);
    expect(csv[1]).toMatch(/,bot of key_1,staging$/);
    const list = await runCli(["cloud", "requests", "-o", "table"], as(node.url));
    expect(list.stdout).toContain("bot of key_2");
  });

  it("are in the receipt of a request and in groups of usage", async () => {
    const { keys } = readableKeys();
    await using node = await startNode({ pages: [["key_1"]], keys });
    const receipt = await runCli(["cloud", "request", "get", "req_key_1"], as(node.url));
    expect(receipt.stdout).toMatch(/^key +bot of key_1 \(key_1\)$/m);
    const groups = await runCli(["cloud", "usage", "--group-by", "key", "--json"], as(node.url));
    expect(JSON.parse(groups.stdout)).toMatchObject({ groups: [{ key_id: "key_1", key_name: "bot of key_1" }] });
  });

  it("come from the list of keys if there are many, which is read only as far as needed", async () => {
    const ids = Array.from({ length: 40 }, (_, index) => `key_${index}`);
    const tokens: string[] = [];
    const listKeys = ({ pageToken }: { pageToken: string }) => {
      tokens.push(pageToken);
      const half = pageToken === "" ? ids.slice(0, 20) : ids.slice(20);
      const keys = half.map((id) => ({ id, name: nameOf(id), createdAt: AT }));
      return { keys, nextPageToken: pageToken === "" ? "second" : "third" };
    };
    await using node = await startNode({ pages: [ids], keys: { listKeys } });
    const { stdout } = await runCli(["cloud", "requests", "--limit", "40", "--json"], as(node.url));
    const { data } = JSON.parse(stdout) as { data: { key_name: string }[] };
    expect(data.map(({ key_name }) => key_name)).toEqual(ids.map(nameOf));
    expect(tokens).toEqual(["", "second"]);
  });

  it("are null, with a note and without further look-ups, if the credential cannot read keys", async () => {
    let calls = 0;
    const getKey = () => {
      calls += 1;
      throw refusal(Code.PermissionDenied, "SCOPE_MISSING", "keys:read is missing");
    };
    await using node = await startNode({ pages: [["key_1"], ["key_2"], ["key_3"]], keys: { getKey } });
    const { code, stdout, stderr } = await runCli(["cloud", "requests", "-o", "table"], as(node.url));
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: "Names of keys are not shown: they need the scope keys:read.\n",
    });
    expect(stdout.match(/ key_\d /g)).toHaveLength(3);
    expect(calls).toBe(1);
    const json = await runCli(["cloud", "requests", "--json"], as(node.url));
    expect({ ...json, stdout: JSON.parse(json.stdout) }).toMatchObject({
      code: 0,
      stdout: { data: [{ key_id: "key_1", key_name: null }, { key_name: null }, { key_name: null }] },
      stderr: "",
    });
  });
});

describe.concurrent("names of namespaces", () => {
  it("are in the usage of a node, deleted ones too", async () => {
    const requested: boolean[] = [];
    await using node = await startFakeNode((router) => {
      router.service(NamespaceService, {
        listNamespaces({ showDeleted }) {
          requested.push(showDeleted);
          return { namespaces: [{ id: "ns_1", name: "staging" }] };
        },
      });
      router.service(UsageAdminService, {
        getNodeUsage: () => ({
          from: AT,
          to: AT,
          groups: ["ns_1", "ns_2"].map((namespaceId) => ({ namespaceId, usage: {} })),
        }),
      });
    });
    const argv = ["cloud", "usage", "--all-namespaces", "--json"];
    const { stdout } = await runCli(argv, as(node.url, "rpo_live_env"));
    expect(JSON.parse(stdout)).toMatchObject({
      groups: [
        { namespace_id: "ns_1", namespace_name: "staging" },
        { namespace_id: "ns_2", namespace_name: null },
      ],
    });
    expect(requested).toEqual([true]);
  });
});
