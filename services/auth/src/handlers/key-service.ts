import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { KeySchema, type KeyService } from "@routeplane/contracts/auth";
import type { PresetSpec } from "@routeplane/contracts/policy";
import { notFound, requireId } from "@routeplane/domain";
import { fromDuration, fromTimestamp, keyPrincipalOf, type PagedList, toProtoPage, toTimestamp } from "@routeplane/rpc";
import type { Key } from "../domain/keys/key.ts";
import type { KeyLifecycle, MintedKey } from "../domain/keys/key-lifecycle.ts";
import type { BindLimits, KeyStore } from "../domain/ports.ts";
import { callerTokenOf, keyCallerOf, operatorCallerOf } from "./caller.ts";
import { fromProtoKeyUpdate, toProtoKey } from "./convert-key.ts";
import { fromProtoPage } from "./convert-page.ts";

const LIST: PagedList<Key, typeof KeySchema> = {
  list: "keys",
  schema: KeySchema,
  toProto: toProtoKey,
  positionOf: ({ id }) => id,
};

/** Creates the function that binds limits to a key that is being minted, with the token of the minter. */
export type LimitBinder = (token: string, limits: PresetSpec) => BindLimits;

export function keyService(
  keys: KeyStore,
  lifecycle: KeyLifecycle,
  bindLimits: LimitBinder,
): ServiceImpl<typeof KeyService> {
  const bindingOf = (limits: PresetSpec | undefined, context: HandlerContext) =>
    limits && bindLimits(callerTokenOf(context), limits);
  return {
    async mintKey({ name, scopes, expiresAt, limits }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const binding = bindingOf(limits, context);
      return toProtoMint(await lifecycle.mintSubKey(keyCallerOf(context), request, binding));
    },

    async mintRootKey({ namespace, name, scopes, expiresAt, limits }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const binding = bindingOf(limits, context);
      return toProtoMint(await lifecycle.mintRootKey(operatorCallerOf(context), namespace, request, binding));
    },

    async listKeys(request, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const page = await keys.list(namespaceId, fromProtoPage(LIST.list, "key", request));
      const { messages, nextPageToken } = toProtoPage(page, LIST);
      return { keys: messages, nextPageToken };
    },

    async getKey({ id }, context) {
      const key = await keys.find(keyPrincipalOf(context).namespaceId, requireId("key", id));
      if (key === undefined) throw notFound();
      return { key: toProtoKey(key) };
    },

    async updateKey(request, context) {
      const caller = keyCallerOf(context);
      const key = await lifecycle.update(caller, requireId("key", request.id), fromProtoKeyUpdate(request));
      return { key: toProtoKey(key) };
    },

    async rotateKey({ id, grace }, context) {
      const caller = keyCallerOf(context);
      const { key, token, graceEndsAt } = await lifecycle.rotate(caller, requireId("key", id), fromDuration(grace));
      return { key: toProtoKey(key), token, graceEndsAt: toTimestamp(graceEndsAt) };
    },

    async revokeKey({ id, reason }, context) {
      const key = await lifecycle.revoke(keyCallerOf(context), requireId("key", id), reason || undefined);
      return { key: toProtoKey(key) };
    },
  };
}

function toProtoMint({ key, token, limitsPolicyId }: MintedKey) {
  return { key: toProtoKey(key), token, limitsPolicyId: limitsPolicyId ?? "" };
}
