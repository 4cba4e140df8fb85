import type { Database, Transaction } from "@routeplane/postgres";
import type { AccountStore } from "../domain/ports.ts";
import { emptyIfUnstorable, type UniqueName, writeUniqueName } from "./names.ts";
import { fromAccountRow, toAccountRow, toPage } from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";

export function createAccountStore(database: Database<AuthSchema>): AccountStore {
  return {
    find: (reach, nameOrId) =>
      database.within(reach, async (tx) => {
        const row = await selectAccount(tx, nameOrId).executeTakeFirst();
        return row && fromAccountRow(row);
      }),

    list: (reach, page) =>
      database.within(reach, async (tx) => {
        const all = tx
          .selectFrom("accounts")
          .selectAll()
          .orderBy("id")
          .limit(page.size + 1);
        const rows = await (page.after === undefined ? all : all.where("id", ">", page.after)).execute();
        return toPage(rows.map(fromAccountRow), page);
      }),

    async add(account) {
      await writeUniqueName(uniqueName(account.name), () =>
        database.within({ node: true }, (tx) => tx.insertInto("accounts").values(toAccountRow(account)).execute()),
      );
    },

    rename: (nameOrId, name) =>
      writeUniqueName(uniqueName(name), () =>
        database.within({ node: true }, async (tx) => {
          const row = await selectAccount(tx, nameOrId).forUpdate().executeTakeFirst();
          if (row === undefined) return undefined;
          if (row.name !== name) await tx.updateTable("accounts").set({ name }).where("id", "=", row.id).execute();
          return { ...fromAccountRow(row), name };
        }),
      ),
  };
}

function uniqueName(name: string): UniqueName {
  return { name, constraint: "accounts_name_key", owner: "another account of this node" };
}

/** Selects by id or by name. A name is never an id: it contains no underscore. */
function selectAccount(tx: Transaction<AuthSchema>, requested: string) {
  const nameOrId = emptyIfUnstorable(requested);
  return tx
    .selectFrom("accounts")
    .selectAll()
    .where((is) => is.or([is("name", "=", nameOrId), is(is.cast<string>("id", "text"), "=", nameOrId)]));
}
