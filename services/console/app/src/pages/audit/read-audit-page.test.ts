import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";
import { AuditService as AuthAudit } from "@routeplane/contracts/auth";
import { AuditService as PolicyAudit } from "@routeplane/contracts/policy";
import { AuditService as UsageAudit } from "@routeplane/contracts/usage";
import { expect, test } from "vitest";
import { LOGS } from "./audit-filter.ts";
import { readAuditPage } from "./read-audit-page.ts";

const REQUEST = { filter: {}, pageSize: 10, pageToken: "" };

/** Services whose logs have one entry each, given by its id. If a code is given instead, the service answers with that error. */
function nodeWith(answers: Readonly<Record<(typeof LOGS)[number], string | Code>>) {
  const answer = (log: (typeof LOGS)[number]) => () => {
    const given = answers[log];
    if (typeof given === "number") throw new ConnectError(`${log} is down`, given);
    return { entries: [{ id: given }] };
  };
  return createRouterTransport(({ service }) => {
    service(AuthAudit, { listAuditEntries: answer("auth") });
    service(PolicyAudit, { listAuditEntries: answer("policy") });
    service(UsageAudit, { listAuditEntries: answer("usage") });
  });
}

test("merges the logs of all services", async () => {
  const node = nodeWith({ auth: "aud_2", policy: "aud_3", usage: "aud_1" });
  const { entries, unread } = await readAuditPage(node, LOGS, REQUEST);
  expect([entries.map(({ id }) => id), unread]).toEqual([["aud_3", "aud_2", "aud_1"], []]);
  expect((await readAuditPage(node, ["policy"], REQUEST)).entries.map(({ id }) => id)).toEqual(["aud_3"]);
});

test("shows the other logs if a service is down, and names its log", async () => {
  const node = nodeWith({ auth: "aud_2", policy: Code.Unavailable, usage: "aud_1" });
  const { entries, unread } = await readAuditPage(node, LOGS, REQUEST);
  expect(entries.map(({ id }) => id)).toEqual(["aud_2", "aud_1"]);
  expect(unread.map(({ log, error }) => [log, error.rawMessage])).toEqual([["policy", "policy is down"]]);
});

test("fails if no log can be read, or the session has ended", async () => {
  const refused = { auth: Code.PermissionDenied, policy: Code.PermissionDenied, usage: Code.PermissionDenied };
  await expect(readAuditPage(nodeWith(refused), LOGS, REQUEST)).rejects.toMatchObject({ code: Code.PermissionDenied });
  const ended = nodeWith({ auth: "aud_2", policy: Code.Unauthenticated, usage: "aud_1" });
  await expect(readAuditPage(ended, LOGS, REQUEST)).rejects.toMatchObject({ code: Code.Unauthenticated });
});
