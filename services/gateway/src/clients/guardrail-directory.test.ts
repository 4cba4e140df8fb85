import { create } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import { createRouterTransport } from "@connectrpc/connect";
import { EnforcementService, ListAppliedGuardrailsResponseSchema } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";
import { expect, it, onTestFinished } from "vitest";
import type { CallingKey } from "../domain/ports/key-verifier.ts";
import { createGuardrailDirectory } from "./guardrail-directory.ts";

it("leaves the guardrails unknown if the answer has a field of a newer release", async () => {
  const keyId = newId("key");
  const caller: CallingKey = { kind: "key", keyId, namespaceId: newId("ns"), scopes: [], lineage: [keyId] };
  const guardrail = { policyId: newId("pol"), bindingId: newId("bnd"), spec: { allowStreaming: false } };
  const answering = (unknown: boolean) =>
    createRouterTransport(({ service }) => {
      service(EnforcementService, {
        listAppliedGuardrails() {
          const answer = create(ListAppliedGuardrailsResponseSchema, { guardrails: [guardrail] });
          const field = { no: 2_000, wireType: WireType.Varint, data: new Uint8Array([1]) };
          if (unknown) answer.guardrails[0]!.spec!.$unknown = [field];
          return answer;
        },
        async *watchPolicyChanges() {},
      });
    });
  for (const unknown of [false, true]) {
    const directory = createGuardrailDirectory(answering(unknown));
    onTestFinished(() => directory.stop?.());
    if (unknown) await expect(directory.listApplied(caller)).rejects.toMatchObject({ code: "unavailable" });
    else expect(await directory.listApplied(caller)).toHaveLength(1);
  }
});
