import type { ServiceImpl } from "@connectrpc/connect";
import type { KeyService } from "@routeplane/contracts/auth";
import { notFound, requireId } from "@routeplane/domain";
import { fromDuration, fromTimestamp, keyPrincipalOf, toTimestamp } from "@routeplane/rpc";
import type { KeyLifecycle } from "../domain/keys/key-lifecycle.ts";
import type { KeyStore } from "../domain/ports.ts";
import { keyCallerOf, operatorCallerOf } from "./caller.ts";
import { fromProtoKeyUpdate, toProtoKey } from "./convert-key.ts";
import { fromProtoPage, toProtoNextPageToken } from "./convert-page.ts";

const LIST = "keys";

export function keyService(keys: KeyStore, lifecycle: KeyLifecycle): ServiceImpl<typeof KeyService> {
  return {
    async mintKey({ name, scopes, expiresAt }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const { key, token } = await lifecycle.mintSubKey(keyCallerOf(context), request);
      return { key: toProtoKey(key), token };
    },

    async mintRootKey({ namespace, name, scopes, expiresAt }, context) {
      const request = { name, scopes, expiresAt: fromTimestamp(expiresAt) };
      const { key, token } = await lifecycle.mintRootKey(operatorCallerOf(context), namespace, request);
      return { key: toProtoKey(key), token };
    },

    async listKeys(request, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const page = await keys.list(namespaceId, fromProtoPage(LIST, "key", request));
      return { keys: page.rows.map(toProtoKey), nextPageToken: toProtoNextPageToken(LIST, page) };
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
