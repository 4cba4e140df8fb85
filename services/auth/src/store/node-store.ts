import { DomainError } from "@routeplane/domain";
import { type Database, isUniqueViolation } from "@routeplane/postgres";
import type { NodeStore } from "../domain/ports.ts";
import { fromNamespaceRow, fromOperatorRow, toNamespaceRow, toPage, toSecretColumns } from "./rows.ts";
import type { AuthSchema } from "./schema.ts";

export function createNodeStore(database: Database<AuthSchema>): NodeStore {
  return {
    findAccount: (accountId) =>
      database.within({ accountId }, async (tx) => {
        const row = await tx.selectFrom("accounts").selectAll().where("id", "=", accountId).executeTakeFirst();
        return row && { id: row.id, name: row.name, createdAt: row.created_at };
      }),

    findOperator: (accountId, operatorId) =>
      database.within({ accountId }, async (tx) => {
        const row = await tx.selectFrom("operators").selectAll().where("id", "=", operatorId).executeTakeFirst();
        return row && fromOperatorRow(row);
      }),

    async addNamespace(namespace) {
      try {
        await database.within({ accountId: namespace.accountId }, (tx) =>
          tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute(),
        );
      } catch (error) {
        if (!isUniqueViolation(error, "namespaces_account_name_key")) throw error;
        const rule = "is taken by another namespace of this account";
        throw new DomainError("already_exists", "NAME_TAKEN", `name: ${JSON.stringify(namespace.name)} ${rule}`, {
          fields: [{ field: "name", rule }],
          metadata: { field: "name" },
        });
      }
    },

    listNamespaces: (accountId, page) =>
      database.within({ accountId }, async (tx) => {
        const all = tx
          .selectFrom("namespaces")
          .selectAll()
          .orderBy("id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("id", ">", page.after)).execute();
        return toPage(rows.map(fromNamespaceRow), page);
      }),

    findNamespace: (accountId, nameOrId) =>
      database.within({ accountId }, async (tx) => {
        const row = await tx
          .selectFrom("namespaces")
          .selectAll()
          .where((is) => is.or([is("name", "=", nameOrId), is(is.cast<string>("id", "text"), "=", nameOrId)]))
          .executeTakeFirst();
        return row && fromNamespaceRow(row);
      }),

    async addAccount(account, namespace, operator, secret) {
      const { id, name, createdAt } = account;
      try {
        await database.within({ accountId: id }, async (tx) => {
          await tx.insertInto("accounts").values({ id, name, created_at: createdAt }).execute();
          await tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute();
          const row = { account_id: id, id: operator.id, name: operator.name, created_at: operator.createdAt };
          await tx
            .insertInto("operators")
            .values({ ...row, revoked_at: null, ...toSecretColumns(secret) })
            .execute();
        });
      } catch (error) {
        if (!isUniqueViolation(error, "accounts_name_key")) throw error;
        const message = "this node was set up with another operator credential";
        throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
      }
    },
  };
}
