import type { ServiceImpl } from "@connectrpc/connect";
import type { KeyService } from "@routeplane/contracts/auth";
import { notFound, parseId, requireId } from "@routeplane/domain";
import { fromDuration, fromPageToken, fromTimestamp, keyPrincipalOf, toPageToken, toTimestamp } from "@routeplane/rpc";
import type { KeyLifecycle } from "../domain/keys/key-lifecycle.ts";
import type { KeyStore } from "../domain/ports.ts";
import { keyCallerOf, operatorCallerOf } from "./caller.ts";
import { fromProtoKeyUpdate, toProtoKey } from "./convert-key.ts";

const DEFAULT_PAGE_SIZE = 100;
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

    async listKeys({ pageSize, pageToken }, context) {
      const { namespaceId } = keyPrincipalOf(context);
      const after = fromPageToken(LIST, pageToken, (id) => parseId("key", id));
      const { rows, more } = await keys.list(namespaceId, { size: pageSize || DEFAULT_PAGE_SIZE, after });
      const last = rows.at(-1);
      return { keys: rows.map(toProtoKey), nextPageToken: more && last ? toPageToken(LIST, last.id) : "" };
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
