import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { DescField, DescMessage, DescMethod } from "@bufbuild/protobuf";
import { newId } from "@routeplane/domain";
import { accessOf, isInternal, publishedServices } from "@routeplane/rpc";
import { eventually } from "@routeplane/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chatBody } from "../harness/gateway.ts";
import { startNode, type TestNode } from "../harness/index.ts";

/** Tests of promise 1 from outside: a credential of one namespace learns nothing of another. */

interface Answer {
  readonly status: number;
  readonly body: string;
}

const SCOPES = ["audit:*", "inference:*", "keys:*", "policy:*", "usage:*", "namespace:*"];

let node: TestNode;
/** Root key of the namespace `default`, which tries to reach `victim`, and ids of its own resources, keyed by kind. */
let caller: { token: string; ids: Record<string, string> };
/** Root key of another namespace of the same account, and ids of resources there, keyed by kind. */
let victim: { token: string; ids: Record<string, string> };
/** Token of an operator credential that is limited to the account of `caller`. */
let accountOperatorToken: string;
/** Token of a session of that operator credential. */
let accountSessionToken: string;
/** Token of the operator credential of the whole node. */
let nodeOperatorToken: string;
/** Ids of resources in another account, keyed by kind, and the names by which its own operators may refer to them. */
let foreignAccount: { ids: Record<string, string>; names: readonly string[] };

beforeAll(async () => {
  node = await startNode();
  [caller, victim] = await Promise.all([
    createRootKey("default"),
    node.cli(["cloud", "namespace", "create", "foreign"]).then(() => createRootKey("foreign")),
  ]);
  ({ token: accountOperatorToken } = await mintOperator("default"));
  ({ token: accountSessionToken } = await rpc("auth.v1.SessionService/CreateSession", accountOperatorToken, {}));
  nodeOperatorToken = await node.operatorKey();
  // Dead letters belong to the node: none is foreign to its operators.
  victim.ids["dl"] = newId("dl");
  foreignAccount = await createForeignAccount();
});
afterAll(() => node.remove());

const methods = Object.values(publishedServices())
  .flat()
  .flatMap((service) => service.methods);
const published = methods.filter((method) => !isInternal(method));
const outside = published.filter(({ methodKind }) => methodKind === "unary");
/** Streaming methods: their answers are framed, and have tests of their own. */
const streams = published.filter(({ methodKind }) => methodKind !== "unary");
const path = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

async function post(url: string, token: string, request: object): Promise<Answer> {
  const response = await fetch(node.url + url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  return { status: response.status, body: await response.text() };
}

/** Messages of a stream, in the frames of Connect. */
async function stream(method: DescMethod, token: string, request: object): Promise<string> {
  const message = Buffer.from(JSON.stringify(request));
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  const response = await fetch(node.url + path(method), {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/connect+json" },
    body: Buffer.concat([frame, message]),
  });
  return response.text();
}

async function rpc(method: string, token: string, request: object) {
  const answer = await post(`/routeplane.${method}`, token, request);
  if (answer.status !== 200) throw new Error(`${method}: ${answer.body}`);
  return JSON.parse(answer.body);
}

async function mintOperator(account: string): Promise<{ token: string; operator: { id: string } }> {
  const scopes = ["accounts:*", "audit:*", "keys:*", "namespaces:*", "operators:*"];
  const request = { name: "operator", scopes, account };
  return rpc("auth.v1.OperatorService/MintOperator", await node.operatorKey(), request);
}

/** Creates another account with a namespace, and an operator credential of the whole node. */
async function createForeignAccount(): Promise<typeof foreignAccount> {
  const operator = await node.operatorKey();
  const { account } = await rpc("auth.v1.AccountService/CreateAccount", operator, { name: "elsewhere" });
  const request = { name: "hidden", account: account.id };
  const { namespace } = await rpc("auth.v1.NamespaceService/CreateNamespace", operator, request);
  const scopes = ["keys:*", "policy:*"];
  const minted = await rpc("auth.v1.KeyService/MintRootKey", operator, { namespace: namespace.id, name: "x", scopes });
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5000000" } };
  const { policy } = await rpc("policy.v1.PolicyService/CreatePolicy", minted.token, { name: "hidden", spec });
  const { operator: nodeOperator } = await mintOperator("");
  const service = { name: "x", scopes: ["keys:verify"], namespaces: [namespace.id] };
  const { serviceCredential } = await rpc("auth.v1.ServiceCredentialService/MintServiceCredential", operator, service);
  const { session } = await rpc("auth.v1.SessionService/CreateSession", minted.token, {});
  const ids = {
    acc: account.id,
    ns: namespace.id,
    op: nodeOperator.id,
    svc: serviceCredential.id,
    ses: session.id,
    key: minted.key.id,
    pol: policy.id,
  };
  return { ids, names: ["elsewhere", "hidden"] };
}

/** Creates a root key with a policy bound to it and a request in the log. */
async function createRootKey(namespace: string) {
  const operator = await node.operatorKey();
  const request = { namespace, name: "root", scopes: SCOPES };
  const { key, token } = await rpc("auth.v1.KeyService/MintRootKey", operator, request);
  const spec = { budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5000000" } };
  const { policy } = await rpc("policy.v1.PolicyService/CreatePolicy", token, { name: `cap of ${key.id}`, spec });
  const principal = { policyId: policy.id, principalType: "PRINCIPAL_TYPE_API_KEY", principalId: key.id };
  const { binding } = await rpc("policy.v1.PolicyService/BindPolicy", token, principal);
  const { identity: _, key: self } = await rpc("auth.v1.IdentityService/WhoAmI", token, {});
  const { session } = await rpc("auth.v1.SessionService/CreateSession", token, {});
  const req = await infer(token);
  const ids = { key: key.id, pol: policy.id, bnd: binding.id, ns: self.namespaceId, ses: session.id, req };
  return { token, ids };
}

/** Makes a request. @returns its id, once it is in the log */
async function infer(token: string): Promise<string> {
  const answer = await fetch(`${node.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody("hello")),
  });
  await answer.text();
  const id = answer.headers.get("x-request-id") ?? "";
  await eventually(() => rpc("usage.v1.UsageService/GetRequest", token, { id }).catch(() => undefined));
  return id;
}

/** Fields of all methods through which a caller names something, with a request that is otherwise valid. */
const isName = (field: DescField): boolean =>
  field.name === "id" || field.name.endsWith("_id") || takesNames(field.name);
/** True if a name is accepted as well as an id. */
const takesNames = (field: string): boolean => field === "account" || field === "namespace";
/** Paths of the fields of a message that name something, at every depth. */
function namesIn(message: DescMessage, prefix = ""): readonly string[] {
  return message.fields.flatMap((field) => {
    const isOurs = field.message?.typeName.startsWith("routeplane.") === true;
    const own = isName(field) ? [prefix + field.name] : [];
    return isOurs && prefix.length < 200 ? [...own, ...namesIn(field.message, `${prefix}${field.name}.`)] : own;
  });
}
const positions = published.flatMap((method) =>
  namesIn(method.input).map((field) => `${method.parent.name}/${method.name}.${field}`),
);

/** Kind of id of each position, and a request in which only that position is wrong. */
interface ValidRequest {
  readonly kinds: readonly ("key" | "pol" | "bnd" | "ns" | "op" | "svc" | "ses" | "acc" | "req" | "dl")[];
  readonly request: () => object;
  /** Token of the caller, for operator methods. A key by default. */
  readonly by?: () => string;
  /** Foreign ids. Those of the other namespace by default. */
  readonly foreign?: () => Record<string, string>;
}
const outsideAccount = { foreign: () => foreignAccount.ids };
const byOperator = { by: () => accountOperatorToken, ...outsideAccount };
const namespaceOf = (method: string, request: object = {}): Record<string, ValidRequest> => ({
  [`${method}.namespace`]: { kinds: ["ns"], request: () => request, ...byOperator },
});
const VALID_REQUESTS: Record<string, ValidRequest> = {
  "KeyService/GetKey.id": { kinds: ["key"], request: () => ({}) },
  "KeyService/UpdateKey.id": { kinds: ["key"], request: () => ({ name: "x", scopes: ["keys:read"] }) },
  "KeyService/RotateKey.id": { kinds: ["key"], request: () => ({ grace: "0s" }) },
  "KeyService/RevokeKey.id": { kinds: ["key"], request: () => ({}) },
  ...namespaceOf("KeyService/MintRootKey", { name: "x", scopes: ["keys:read"] }),
  ...namespaceOf("NamespaceService/GetNamespace"),
  "NamespaceService/GetNamespace.namespace (key)": { kinds: ["ns"], request: () => ({}) },
  ...namespaceOf("NamespaceService/RenameNamespace", { name: "renamed" }),
  ...namespaceOf("NamespaceService/SuspendNamespace"),
  ...namespaceOf("NamespaceService/ResumeNamespace"),
  ...namespaceOf("NamespaceService/DeleteNamespace"),
  ...namespaceOf("NamespaceService/RestoreNamespace"),
  "NamespaceService/CreateNamespace.account": { kinds: ["acc"], request: () => ({ name: "x" }), ...byOperator },
  "NamespaceService/ListNamespaces.account": { kinds: ["acc"], request: () => ({}), ...byOperator },
  "NamespaceService/ListNamespaces.account (key)": { kinds: ["acc"], request: () => ({}), ...outsideAccount },
  "AccountService/GetAccount.account": { kinds: ["acc"], request: () => ({}), ...byOperator },
  "OperatorService/MintOperator.account": {
    kinds: ["acc"],
    request: () => ({ name: "x", scopes: ["audit:read"] }),
    ...byOperator,
  },
  "OperatorService/GetOperator.id": { kinds: ["op"], request: () => ({}), ...byOperator },
  "OperatorService/RotateOperator.id": { kinds: ["op"], request: () => ({ grace: "0s" }), ...byOperator },
  "OperatorService/RevokeOperator.id": { kinds: ["op"], request: () => ({}), ...byOperator },
  ...Object.fromEntries(
    ["Get", "Rotate", "Revoke"].map((verb) => [
      `ServiceCredentialService/${verb}ServiceCredential.id`,
      { kinds: ["svc"], request: () => ({}), ...byOperator },
    ]),
  ),
  ...namespaceOf("SessionService/CreateSession"),
  "SessionService/CreateSession.namespace (key)": { kinds: ["ns"], request: () => ({}) },
  ...namespaceOf("SessionService/CreateSignInCode"),
  "SessionService/CreateSignInCode.namespace (key)": { kinds: ["ns"], request: () => ({}) },
  "SessionService/ExchangeSession.namespace": {
    kinds: ["ns"],
    request: () => ({}),
    by: () => accountSessionToken,
    ...outsideAccount,
  },
  "SessionService/GetSession.id": { kinds: ["ses"], request: () => ({}) },
  "SessionService/GetSession.id (operator)": { kinds: ["ses"], request: () => ({}), ...byOperator },
  "SessionService/RevokeSession.id": { kinds: ["ses"], request: () => ({}) },
  "SessionService/RevokeSession.id (operator)": { kinds: ["ses"], request: () => ({}), ...byOperator },
  "PolicyService/GetPolicy.id": { kinds: ["pol"], request: () => ({}) },
  "PolicyService/UpdatePolicy.id": { kinds: ["pol"], request: () => ({ name: "x" }) },
  "PolicyService/DeletePolicy.id": { kinds: ["pol"], request: () => ({ unbind: true }) },
  "PolicyService/EnablePolicy.id": { kinds: ["pol"], request: () => ({}) },
  "PolicyService/DisablePolicy.id": { kinds: ["pol"], request: () => ({}) },
  "PolicyService/UnbindPolicy.policy_id": { kinds: ["pol"], request: () => ({ bindingId: caller.ids["bnd"] }) },
  "PolicyService/UnbindPolicy.binding_id": { kinds: ["bnd"], request: () => ({ policyId: caller.ids["pol"] }) },
  "PolicyService/UnbindAll.policy_id": { kinds: ["pol"], request: () => ({ all: true }) },
  "PolicyService/UnbindAll.principal_id": {
    kinds: ["key"],
    request: () => ({ policyId: caller.ids["pol"], principalType: "PRINCIPAL_TYPE_API_KEY" }),
  },
  "PolicyService/UnbindAll.principal_id (namespace)": {
    kinds: ["ns"],
    request: () => ({ policyId: caller.ids["pol"], principalType: "PRINCIPAL_TYPE_NAMESPACE" }),
  },
  "PolicyService/ListBindings.policy_id": { kinds: ["pol"], request: () => ({}) },
  "PolicyService/ListPrincipalPolicies.principal_id": {
    kinds: ["key"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_API_KEY" }),
  },
  "PolicyService/ListPrincipalPolicies.principal_id (namespace)": {
    kinds: ["ns"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_NAMESPACE" }),
  },
  "PolicyService/BindPolicy.policy_id": {
    kinds: ["pol"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_API_KEY", principalId: caller.ids["key"] }),
  },
  "PolicyService/BindPolicy.principal_id": {
    kinds: ["key"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_API_KEY", policyId: caller.ids["pol"] }),
  },
  ...Object.fromEntries(
    ["GetDeadLetter", "ReplayDeadLetter", "DiscardDeadLetter"].map((method) => [
      `UsageAdminService/${method}.id`,
      { kinds: ["dl"], request: () => ({}), by: () => nodeOperatorToken },
    ]),
  ),
  "UsageService/GetRequest.id": { kinds: ["req"], request: () => ({}) },
  // Existing ids are foreign here too: only the auth service knows the id of a key that is being minted.
  "PolicyService/BindMintedLimits.namespace_id": {
    kinds: ["ns"],
    request: () => ({ keyId: newId("key"), limits: TYPED.Preset }),
  },
  "PolicyService/BindMintedLimits.key_id": {
    kinds: ["key"],
    request: () => ({ namespaceId: newId("ns"), limits: TYPED.Preset }),
  },
  "PolicyService/BindPolicy.principal_id (namespace)": {
    kinds: ["ns"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_NAMESPACE", policyId: caller.ids["pol"] }),
  },
  "SimulationService/SimulatePolicy.policy_id": { kinds: ["pol"], request: () => ({}) },
  "SimulationService/SimulatePolicy.principal_id": {
    kinds: ["key"],
    request: () => ({ policyId: caller.ids["pol"], principalType: "PRINCIPAL_TYPE_API_KEY" }),
  },
  "SimulationService/SimulatePolicy.principal_id (namespace)": {
    kinds: ["ns"],
    request: () => ({ policyId: caller.ids["pol"], principalType: "PRINCIPAL_TYPE_NAMESPACE" }),
  },
  "EffectivePolicyService/GetEffectivePolicy.principal_id": {
    kinds: ["key"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_API_KEY" }),
  },
  "EffectivePolicyService/GetEffectivePolicy.principal_id (namespace)": {
    kinds: ["ns"],
    request: () => ({ principalType: "PRINCIPAL_TYPE_NAMESPACE" }),
  },
};
const TYPED = {
  Budget: { window: "BUDGET_WINDOW_DAY", limitMicroUsd: "5" },
  Guardrail: { allowStreaming: false },
  RateLimit: { windowSecs: 60, maxRequests: "5" },
  Preset: { rateLimit: { windowSecs: 60, maxRequests: "5" } },
};
for (const [type, spec] of Object.entries(TYPED)) {
  VALID_REQUESTS[`${type}Service/Get${type}.id`] = { kinds: ["pol"], request: () => ({}) };
  VALID_REQUESTS[`${type}Service/Update${type}.id`] = { kinds: ["pol"], request: () => ({ name: "x" }) };
  VALID_REQUESTS[`${type}Service/Delete${type}.id`] = { kinds: ["pol"], request: () => ({ unbind: true }) };
  const bindTo = (principalType: string) => ({ name: "x", spec, bindTo: [{ principalType }] });
  const create = `${type}Service/Create${type}.bind_to.principal_id`;
  VALID_REQUESTS[create] = { kinds: ["key"], request: () => bindTo("PRINCIPAL_TYPE_API_KEY") };
  VALID_REQUESTS[`${create} (namespace)`] = { kinds: ["ns"], request: () => bindTo("PRINCIPAL_TYPE_NAMESPACE") };
}
/** Request with an id in a position, e.g. `["bind_to", "principal_id"]`. */
function placed(request: object, [name = "", ...below]: readonly string[], id: string): object {
  const key = name.replaceAll(/_[a-z]/g, ([, letter = ""]) => letter.toUpperCase());
  if (below.length === 0) return { ...request, [key]: id };
  const inner = (request as Record<string, readonly object[]>)[key] ?? [];
  return { ...request, [key]: inner.map((each) => placed(each, below, id)) };
}
const cases = Object.entries(VALID_REQUESTS);
const RANGE = { from: "2026-01-01T00:00:00Z", to: "2027-01-01T00:00:00Z" };
/** Positions of filters on the caller's own data: a foreign id selects nothing. */
const FILTERS: Readonly<Record<string, (id: string) => object>> = {
  "AuditService/ListAuditEntries.filter.id": (id) => ({ filter: { id } }),
  "AuditService/ListAuditEntries.filter.actor_id": (id) => ({ filter: { actorId: id } }),
  "AuditService/ListAuditEntries.filter.target_id": (id) => ({ filter: { targetId: id } }),
  "AuditService/ListAuditEntries.filter.namespace_id": (id) => ({ filter: { namespaceId: id } }),
  "UsageService/GetUsage.key_id": (id) => ({ keyId: id, groupBy: ["USAGE_DIMENSION_KEY"], ...RANGE }),
  "UsageService/ListRequests.filter.key_id": (id) => ({ filter: { keyId: id } }),
};
const filters = Object.keys(FILTERS);
/** Methods for operators of all accounts: refused to others, whatever is named. */
const WHOLE_NODE = "AccountService/RenameAccount.account";
const WATCH_FILTER = "UsageService/WatchRequests.filter.key_id";

describe("a credential of another namespace", () => {
  it("is tried in every position of the contracts that names something", () => {
    expect(new Set([...cases.map(([name]) => name.split(" ")[0]), ...filters, WHOLE_NODE, WATCH_FILTER])).toEqual(
      new Set(positions),
    );
  });

  it.each(cases)(
    "gets the same bytes for a foreign, an unknown and a malformed id in %s",
    async (name, { kinds, request, by = () => caller.token, foreign = () => victim.ids }) => {
      const [service = "", rest = ""] = name.split("/");
      const [methodName, ...position] = (rest.split(" ")[0] ?? "").split(".");
      const method = outside.find(({ parent, name: own }) => parent.name === service && own === methodName)!;
      const wrong = kinds.flatMap((kind) => [foreign()[kind]!, newId(kind), `${kind}_x`, "x".repeat(5000)]);
      // An empty name is an absent one.
      const names = takesNames(position.at(-1) ?? "") ? foreignAccount.names : [""];
      const hostile = [...names, " ", "' or 1=1 --", "\u0000", "../../etc", victim.ids["bnd"]!];
      const answers = await Promise.all(
        [...wrong, ...hostile].map((id) => post(path(method), by(), placed(request(), position, id))),
      );
      expect(answers[0]).toMatchObject({ status: 404, body: expect.stringContaining('"code":"not_found"') });
      for (const answer of answers) expect(answer).toEqual(answers[0]);
    },
  );

  it("gets the same bytes for every account that it tries to rename, its own too", async () => {
    const { account } = await rpc("auth.v1.AccountService/GetAccount", accountOperatorToken, { account: "default" });
    const named = [
      account.id,
      "default",
      foreignAccount.ids["acc"]!,
      ...foreignAccount.names,
      newId("acc"),
      "acc_x",
      "\u0000",
    ];
    const rename = "/routeplane.auth.v1.AccountService/RenameAccount";
    const answers = await Promise.all(
      named.map((each) => post(rename, accountOperatorToken, { account: each, name: "x" })),
    );
    expect(answers[0]).toMatchObject({ status: 403, body: expect.stringContaining("ACCOUNT_LIMITED") });
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  it("selects nothing by a foreign, an unknown or a malformed id in a filter, with the same bytes", async () => {
    let sent = 0;
    for (const [position, requestFor] of Object.entries(FILTERS)) {
      const name = position.split(".")[0];
      for (const method of outside.filter((each) => `${each.parent.name}/${each.name}` === name)) {
        const unknown = [newId("key"), newId("ns"), "key_x", "' or 1=1 --", "../../etc"];
        const toOperators = accessOf(method).some((rule) => rule.startsWith("operator:"));
        const callers = [
          [caller.token, victim.ids] as const,
          ...(toOperators ? [[accountOperatorToken, foreignAccount.ids] as const] : []),
        ];
        const answers = await Promise.all(
          callers.flatMap(([token, foreign]) =>
            [...Object.values(foreign), ...unknown].map((id) => post(path(method), token, requestFor(id))),
          ),
        );
        const { from: _from, to: _to, ...chosen } = JSON.parse(answers[0]!.body);
        expect({ status: answers[0]!.status, chosen }).toEqual({ status: 200, chosen: {} });
        for (const answer of answers) expect(answer).toEqual(answers[0]);
        sent++;
      }
    }
    // The audit log, with its four filters, is read from three services.
    expect(sent).toBe(filters.length + 8);
  });

  it("watches nothing of this namespace, whatever its filter", async () => {
    const watch = (token: string, keyId: string) => stream(streams[0]!, token, { filter: { keyId } });
    const foreignStreams = Promise.all(
      [victim.ids["key"]!, newId("key"), "key_x", ""].map((id) => watch(caller.token, id)),
    );
    const ownStream = watch(victim.token, victim.ids["key"]!);
    // Sent until the end of the stream: the first may be settled before the watch begins.
    const requestIds: string[] = [];
    const ended = ownStream.then(() => true);
    while (!(await Promise.race([ended, delay(500, false)]))) requestIds.push(await infer(victim.token));
    const ownMessages = await ownStream;
    expect(requestIds.some((id) => ownMessages.includes(id))).toBe(true);
    for (const answer of await foreignStreams) {
      expect(answer).toContain("resumeToken");
      expect(answer).not.toContain('"requests"');
    }
  });

  it("reads nothing of this namespace in any answer, and changes nothing", async () => {
    const reads = outside.filter((method) => /^(List|Get|WhoAmI)/.test(method.name));
    expect(reads.length).toBeGreaterThanOrEqual(7);
    for (const method of reads) {
      const { body } = await post(path(method), caller.token, { pageSize: 1000 });
      for (const kind of ["key", "pol", "bnd", "req"]) expect(body).not.toContain(victim.ids[kind]);
      for (const token of [caller.token, accountOperatorToken]) {
        const answer = await post(path(method), token, { pageSize: 1000 });
        for (const id of Object.values(foreignAccount.ids)) expect(answer.body).not.toContain(id);
      }
    }
    const survived = await post("/routeplane.auth.v1.KeyService/GetKey", victim.token, { id: victim.ids["key"] });
    const { key } = JSON.parse(survived.body);
    expect(key.revokedAt).toBeUndefined();
    expect(key).toMatchObject({
      name: "root",
      scopes: SCOPES.toSorted(),
      prefix: victim.token.slice(0, key.prefix.length),
    });
    const bound = await post("/routeplane.policy.v1.PolicyService/ListBindings", victim.token, {
      policyId: victim.ids["pol"],
    });
    expect(JSON.parse(bound.body)).toMatchObject({ bindings: [{ id: victim.ids["bnd"] }] });
    const kept = await post("/routeplane.policy.v1.PolicyService/GetPolicy", victim.token, { id: victim.ids["pol"] });
    const { policy } = JSON.parse(kept.body);
    expect(policy).toMatchObject({ name: `cap of ${victim.ids["key"]}` });
    expect(policy.disabledAt).toBeUndefined();
  });

  it("cannot reach it by a page token, a namespace in a body or a header", async () => {
    const { body } = await post("/routeplane.auth.v1.KeyService/ListKeys", victim.token, { pageSize: 1 });
    const pageToken = JSON.parse(body).nextPageToken ?? "CgRrZXlz";
    for (const token of [pageToken, "AAAA", "x".repeat(999)]) {
      const answer = await post("/routeplane.auth.v1.KeyService/ListKeys", caller.token, { pageToken: token });
      expect(answer.body).not.toContain(victim.ids["key"]);
    }
    const request = { name: "x", scopes: ["keys:read"], namespace: victim.ids["ns"], namespaceId: victim.ids["ns"] };
    const minted = await post("/routeplane.auth.v1.KeyService/MintKey", caller.token, request);
    expect(minted).toMatchObject({ status: 400, body: expect.stringContaining("namespace") });
  });
});

describe("the public address", () => {
  const internal = methods.filter(isInternal);

  it.each(internal.map((method) => path(method)))("does not serve %s", async (url) => {
    const unknown = await post("/routeplane.auth.v1.KeyService/NoSuchMethod", caller.token, {});
    expect(unknown.status).toBe(404);
    for (const token of [caller.token, await node.operatorKey()]) expect(await post(url, token, {})).toEqual(unknown);
  });

  it("serves every method that is not internal, and none without a credential", async () => {
    for (const method of outside) {
      const answer = await post(path(method), "", {});
      expect([path(method), answer.status]).toEqual([path(method), 401]);
    }
  });

  it("opens no stream without a credential, or with a service credential", async () => {
    const { serviceToken } = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
    expect(streams.map(path)).toEqual(["/routeplane.usage.v1.UsageService/WatchRequests"]);
    for (const token of ["", serviceToken]) expect(await stream(streams[0]!, token, {})).toContain('"unauthenticated"');
  });

  it("refuses service credentials", async () => {
    const { serviceToken } = JSON.parse(await readFile(join(node.home, "secrets.json"), "utf8"));
    expect(serviceToken).toMatch(/^rps_/);
    const guessed = await post("/routeplane.auth.v1.IdentityService/WhoAmI", "rps_guess", {});
    expect(guessed.status).toBe(401);
    for (const method of [...outside, ...internal]) {
      const { status } = await post(path(method), serviceToken, {});
      expect([path(method), status]).toEqual([path(method), internal.includes(method) ? 404 : 401]);
    }
  });
});
