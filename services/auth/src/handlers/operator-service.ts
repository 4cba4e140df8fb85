import type { ServiceImpl } from "@connectrpc/connect";
import { OperatorSchema, type OperatorService } from "@routeplane/contracts/auth";
import { notFound, requireId } from "@routeplane/domain";
import {
  fromDuration,
  fromTimestamp,
  operatorPrincipalOf,
  type PagedList,
  toProtoPage,
  toTimestamp,
} from "@routeplane/rpc";
import { reachOf } from "../domain/namespaces/account.ts";
import type { Operator } from "../domain/operators/operator.ts";
import type { OperatorLifecycle } from "../domain/operators/operator-lifecycle.ts";
import type { OperatorStore } from "../domain/ports.ts";
import { operatorCallerOf } from "./caller.ts";
import { toProtoOperator } from "./convert-operator.ts";
import { fromProtoPage } from "./convert-page.ts";

const LIST: PagedList<Operator, typeof OperatorSchema> = {
  list: "operators",
  schema: OperatorSchema,
  toProto: toProtoOperator,
  positionOf: ({ id }) => id,
};

export function operatorService(
  operators: OperatorStore,
  lifecycle: OperatorLifecycle,
): ServiceImpl<typeof OperatorService> {
  return {
    async mintOperator({ name, scopes, expiresAt, account }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const caller = operatorCallerOf(context);
      const { operator, token } = await lifecycle.mint(caller, account || undefined, request);
      return { operator: toProtoOperator(operator), token };
    },

    async listOperators(request, context) {
      const reach = reachOf(operatorPrincipalOf(context));
      const page = await operators.list(reach, fromProtoPage(LIST.list, "op", request));
      const { messages, nextPageToken } = toProtoPage(page, LIST);
      return { operators: messages, nextPageToken };
    },

    async getOperator({ id }, context) {
      const operator = await operators.find(reachOf(operatorPrincipalOf(context)), requireId("op", id));
      if (operator === undefined) throw notFound();
      return { operator: toProtoOperator(operator) };
    },

    async rotateOperator({ id, grace }, context) {
      const caller = operatorCallerOf(context);
      const rotated = await lifecycle.rotate(caller, requireId("op", id), fromDuration(grace));
      const { operator, token, graceEndsAt } = rotated;
      return { operator: toProtoOperator(operator), token, graceEndsAt: toTimestamp(graceEndsAt) };
    },

    async revokeOperator({ id, reason }, context) {
      const caller = operatorCallerOf(context);
      const operator = await lifecycle.revoke(caller, requireId("op", id), reason || undefined);
      return { operator: toProtoOperator(operator) };
    },
  };
}
