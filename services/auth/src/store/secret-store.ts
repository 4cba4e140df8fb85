import type { Database } from "@routeplane/postgres";
import type { SecretStore } from "../domain/ports.ts";
import { selectKeyLineage } from "./key-store.ts";
import { selectOperatorLineage } from "./operator-store.ts";
import { selectServiceCredential } from "./service-credential-store.ts";
import { fromSecretColumns } from "./convert-rows.ts";
import { selectSession, selectSessionLineages } from "./session-rows.ts";
import type { AuthSchema } from "./schema.ts";

/**
 * Postgres store of secrets. Its transaction sees only the row of the lookup id until the secret is proven, and only then enters a larger
 * scope: the namespace for a key, the node for an operator or service credential, both for a session.
 */
export function createSecretStore(database: Database<AuthSchema>): SecretStore {
  return {
    findKey: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const row = await tx.selectFrom("key_secrets").selectAll().where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ namespaceId: row.namespace_id });
        const lineage = await selectKeyLineage(tx, row.key_id);
        return lineage && { kind: "key", lineage, secretEndsAt: row.expires_at ?? undefined };
      }),

    findOperator: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const secrets = tx.selectFrom("operator_secrets").selectAll();
        const row = await secrets.where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ node: true });
        const lineage = await selectOperatorLineage(tx, row.operator_id);
        return lineage && { kind: "operator", lineage, secretEndsAt: row.expires_at ?? undefined };
      }),

    findService: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const secrets = tx.selectFrom("service_credential_secrets").selectAll();
        const row = await secrets.where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ node: true });
        const service = await selectServiceCredential(tx, row.service_credential_id);
        return service && { kind: "service", lineage: [service], secretEndsAt: row.expires_at ?? undefined };
      }),

    findSession: (lookupId, proves) =>
      database.within({ lookupId }, async (tx, enter) => {
        const row = await tx.selectFrom("sessions").selectAll().where("lookup_id", "=", lookupId).executeTakeFirst();
        if (row === undefined || !proves(fromSecretColumns(row))) return undefined;
        await enter({ node: true, ...(row.namespace_id !== "" && { namespaceId: row.namespace_id }) });
        const session = await selectSession(tx, row.id);
        const lineages = session && (await selectSessionLineages(tx, session));
        return session && lineages && { kind: "session", session, lineages };
      }),
  };
}
