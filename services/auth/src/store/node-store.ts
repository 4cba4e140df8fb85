import { DomainError } from "@routeplane/domain";
import { type Database, isUniqueViolation, type Transaction } from "@routeplane/postgres";
import type { Selectable } from "kysely";
import { ambiguousName, type Namespace } from "../domain/namespaces/namespace.ts";
import type { NodeStore } from "../domain/ports.ts";
import { emptyIfUnstorable, writeUniqueName } from "./names.ts";
import { insertOperator } from "./operator-store.ts";
import { fromNamespaceRow, toAccountRow, toNamespaceRow, toPage } from "./rows.ts";
import type { AuthSchema } from "./schema.ts";

export function createNodeStore(database: Database<AuthSchema>): NodeStore {
  return {
    async addNamespace(namespace) {
      await writeUniqueName(unique(namespace), () =>
        database.within({ accountId: namespace.accountId }, (tx) =>
          tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute(),
        ),
      );
    },

    listNamespaces: (view, page, deletedSince) =>
      database.within(view, async (tx) => {
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

    findNamespace: (view, nameOrId) =>
      database.within(view, async (tx) => requireUnambiguous(nameOrId, await selectNamespace(tx, nameOrId).execute())),

    changeNamespace: (reach, nameOrId, change) =>
      database.within(reach, async (tx) => {
        const before = requireUnambiguous(nameOrId, await selectNamespace(tx, nameOrId).forUpdate().execute());
        if (before === undefined) return undefined;
        const after = change(before);
        if (after === before) return after;
        const { name, suspended_at, deleted_at } = toNamespaceRow(after);
        await writeUniqueName(unique(after), () =>
          tx.updateTable("namespaces").set({ name, suspended_at, deleted_at }).where("id", "=", after.id).execute(),
        );
        return after;
      }),

    async setUp(account, namespace, operator, secret) {
      try {
        await database.within({ node: true }, async (tx) => {
          await insertOperator(tx, operator, secret);
          await tx.insertInto("accounts").values(toAccountRow(account)).execute();
          await tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute();
        });
      } catch (error) {
        const taken = ["operators_first", "accounts_name_key"].some((each) => isUniqueViolation(error, each));
        if (!taken) throw error;
        const message = "this node was set up with another operator credential";
        throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
      }
    },
  };
}

/** By id, or by name if it is not deleted; of every account that the transaction sees. A name is never an id. */
function selectNamespace(tx: Transaction<AuthSchema>, asked: string) {
  const nameOrId = emptyIfUnstorable(asked);
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

/** @throws DomainError FAILED_PRECONDITION if several accounts have one of this name */
function requireUnambiguous(
  name: string,
  rows: readonly Selectable<AuthSchema["namespaces"]>[],
): Namespace | undefined {
  const [row, ...others] = rows;
  if (others.length > 0) throw ambiguousName(name, rows.map(({ id }) => id).toSorted());
  return row && fromNamespaceRow(row);
}

const unique = ({ name }: Namespace) => ({
  name,
  constraint: "namespaces_account_name_key",
  owner: "another namespace of this account",
});
