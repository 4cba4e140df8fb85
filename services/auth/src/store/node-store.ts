import { DomainError } from "@routeplane/domain";
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { Namespace } from "../domain/namespace.ts";
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
      await orNameTaken(namespace, () =>
        database.within({ accountId: namespace.accountId }, (tx) =>
          tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute(),
        ),
      );
    },

    listNamespaces: (accountId, page, deletedSince) =>
      database.within({ accountId }, async (tx) => {
        const all = tx
          .selectFrom("namespaces")
          .selectAll()
          .where((is) =>
            is.or([is("deleted_at", "is", null), ...(deletedSince ? [is("deleted_at", ">", deletedSince)] : [])]),
          )
          .orderBy("id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("id", ">", page.after)).execute();
        return toPage(rows.map(fromNamespaceRow), page);
      }),

    findNamespace: (accountId, nameOrId) =>
      database.within({ accountId }, async (tx) => {
        const row = await selectNamespace(tx, nameOrId).executeTakeFirst();
        return row && fromNamespaceRow(row);
      }),

    changeNamespace: (accountId, nameOrId, change) =>
      database.within({ accountId }, async (tx) => {
        const row = await selectNamespace(tx, nameOrId).forUpdate().executeTakeFirst();
        if (row === undefined) return undefined;
        const before = fromNamespaceRow(row);
        const after = change(before);
        if (after === before) return after;
        const { name, suspended_at, deleted_at } = toNamespaceRow(after);
        await orNameTaken(after, () =>
          tx.updateTable("namespaces").set({ name, suspended_at, deleted_at }).where("id", "=", after.id).execute(),
        );
        return after;
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

/** By id, or by name if it is not deleted. A name is never an id: it holds no underscore. */
function selectNamespace(tx: Transaction<AuthSchema>, asked: string) {
  // No row holds U+0000, and the database takes it for no text at all: it is as unknown as any other name.
  const nameOrId = asked.includes("\u0000") ? "" : asked;
  return tx
    .selectFrom("namespaces")
    .selectAll()
    .where((is) =>
      is.or([
        is.and([is("name", "=", nameOrId), is("deleted_at", "is", null)]),
        is(is.cast<string>("id", "text"), "=", nameOrId),
      ]),
    );
}

async function orNameTaken(namespace: Namespace, write: () => Promise<unknown>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!isUniqueViolation(error, "namespaces_account_name_key")) throw error;
    const rule = "is taken by another namespace of this account";
    throw new DomainError("already_exists", "NAME_TAKEN", `name: ${JSON.stringify(namespace.name)} ${rule}`, {
      fields: [{ field: "name", rule }],
      metadata: { field: "name" },
    });
  }
}
