import type { Id } from "@routeplane/domain";
import type { Database, Transaction } from "@routeplane/postgres";
import { reachOf } from "../domain/namespaces/account.ts";
import type { ServiceCredentialStore } from "../domain/ports.ts";
import type { Rotation } from "../domain/rotation.ts";
import type { StoredSecret } from "../domain/secret.ts";
import type { ServiceCredential } from "../domain/service-credentials/service-credential.ts";
import {
  fromServiceCredentialRow,
  secretsEndedBy,
  toChangeableServiceCredentialColumns,
  toPage,
  toSecretColumns,
  toServiceCredentialRow,
} from "./convert-rows.ts";
import { writeUniqueName } from "./names.ts";
import type { AuthSchema } from "./schema.ts";
import { lockOperatorToken } from "./token-lock.ts";

export function createServiceCredentialStore(database: Database<AuthSchema>): ServiceCredentialStore {
  return {
    add: (caller, service, secret) =>
      database.within({ node: true }, async (tx, enter) => {
        await lockOperatorToken(tx, caller);
        await enter(reachOf(caller));
        await freeNameOfExpired(tx, service);
        await writeUniqueName(uniqueName(service), () =>
          tx.insertInto("service_credentials").values(toServiceCredentialRow(service)).execute(),
        );
        await insertSecret(tx, service, secret);
      }),

    find: (reach, serviceCredentialId) =>
      database.within(reach, (tx) => selectServiceCredential(tx, serviceCredentialId)),

    list: (reach, page) =>
      database.within(reach, async (tx) => {
        const all = tx
          .selectFrom("service_credentials")
          .selectAll()
          .orderBy("id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("id", ">", page.after)).execute();
        return toPage(rows.map(fromServiceCredentialRow), page);
      }),

    change: (caller, serviceCredentialId, decide) =>
      database.within(reachOf(caller), async (tx, enter) => {
        // Locked before it is read, so that a change sees the result of the one before it.
        const lock = tx.selectFrom("service_credentials").select("id").where("id", "=", serviceCredentialId);
        if ((await lock.forNoKeyUpdate().executeTakeFirst()) === undefined) return undefined;
        await enter({ node: true });
        await lockOperatorToken(tx, caller);
        await enter(reachOf(caller));
        const before = await selectServiceCredential(tx, serviceCredentialId);
        if (before === undefined) return undefined;
        const { service, rotation } = decide(before);
        // Secrets first, so that no transaction waits for a secret while it holds the lock of the change counter.
        if (rotation !== undefined) await replaceSecrets(tx, service, rotation);
        if (service !== before) {
          const columns = toChangeableServiceCredentialColumns(service);
          await tx.updateTable("service_credentials").set(columns).where("id", "=", serviceCredentialId).execute();
        }
        return service;
      }),
  };
}

export async function selectServiceCredential(
  tx: Transaction<AuthSchema>,
  serviceCredentialId: Id<"svc">,
): Promise<ServiceCredential | undefined> {
  const all = tx.selectFrom("service_credentials").selectAll();
  const row = await all.where("id", "=", serviceCredentialId).executeTakeFirst();
  return row && fromServiceCredentialRow(row);
}

/** Frees the name if an expired credential of the same account, or of the node, holds it. */
async function freeNameOfExpired(tx: Transaction<AuthSchema>, service: ServiceCredential): Promise<void> {
  await tx
    .updateTable("service_credentials")
    .set({ holds_name: false })
    .where("account_id", "is not distinct from", service.accountId ?? null)
    .where("name", "=", service.name)
    .where("holds_name", "=", true)
    .where("expires_at", "<=", service.createdAt)
    .execute();
}

async function replaceSecrets(tx: Transaction<AuthSchema>, service: ServiceCredential, rotation: Rotation) {
  const { secret, graceEndsAt } = rotation;
  await tx
    .updateTable("service_credential_secrets")
    .set({ expires_at: graceEndsAt })
    .where("service_credential_id", "=", service.id)
    .where(secretsEndedBy(rotation))
    .execute();
  await insertSecret(tx, service, secret);
}

async function insertSecret(tx: Transaction<AuthSchema>, service: ServiceCredential, secret: StoredSecret) {
  const owner = { service_credential_id: service.id, account_id: service.accountId ?? null };
  await tx
    .insertInto("service_credential_secrets")
    .values({ ...owner, ...toSecretColumns(secret), expires_at: null })
    .execute();
}

function uniqueName({ name, accountId }: ServiceCredential) {
  const owner = `another service credential of this ${accountId === undefined ? "node" : "account"}`;
  return { name, constraint: "service_credentials_name", owner };
}
