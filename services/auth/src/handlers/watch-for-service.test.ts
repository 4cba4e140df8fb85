import { newId } from "@routeplane/domain";
import { createChangeFeed, type ServicePrincipal } from "@routeplane/rpc";
import { expect, it } from "vitest";
import { createWatchForService } from "./watch-for-service.ts";

const CHANGES = 500;

it.each([
  ["in few messages without ids to a credential that is bound to namespaces", [newId("ns")]],
  ["one by one to a credential of the whole node", undefined],
])("sends many changes at once %s", async (_, namespaceIds) => {
  const changes = createChangeFeed();
  changes.confirmed(1n, true);
  const caller: ServicePrincipal = {
    kind: "service",
    serviceCredentialId: newId("svc"),
    namespaceIds,
    scopes: ["keys:verify"],
    expiresAt: undefined,
  };
  const watch = createWatchForService({ verifyToken: async () => caller, changes, clock: Date.now });
  const messages: { sequence: bigint; subjectId: string }[] = [];
  const last = BigInt(CHANGES) + 1n;
  for await (const message of watch(caller, "rps_x", new AbortController().signal)) {
    messages.push(message);
    if (messages.length === 1) for (let next = 2n; next <= last; next++) changes.announced(next, `key_${next}`);
    if (message.sequence === last) break;
  }
  const subjects = messages.filter(({ subjectId }) => subjectId !== "");
  if (namespaceIds === undefined) expect([messages.length, subjects.length]).toEqual([CHANGES + 1, CHANGES]);
  else expect([messages.length <= 3, subjects.length]).toEqual([true, 0]);
});
