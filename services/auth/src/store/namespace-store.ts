import type { Database, Transaction } from "@routeplane/postgres";
import type { Selectable } from "kysely";
import { ambiguousName, MAX_AMBIGUOUS_IDS, type Namespace } from "../domain/namespaces/namespace.ts";
import type { NamespaceStore } from "../domain/ports.ts";
import { emptyIfUnstorable, type UniqueName, writeUniqueName } from "./names.ts";
import { fromNamespaceRow, toNamespaceRow, toPage } from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";

export function createNamespaceStore(database: Database<AuthSchema>): NamespaceStore {
  return {
    async add(namespace) {
      await writeUniqueName(uniqueName(namespace), () =>
        database.within({ accountId: namespace.accountId }, (tx) =>
          tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute(),
        ),
      );
    },

    list: (view, page, deletedSince) =>
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

    find: (view, nameOrId) =>
      database.within(view, async (tx) => requireUnambiguous(nameOrId, await selectNamespaces(tx, nameOrId).execute())),

    change: (reach, nameOrId, change) =>
      database.within(reach, async (tx) => {
        const before = requireUnambiguous(nameOrId, await selectNamespaces(tx, nameOrId).forUpdate().execute());
        if (before === undefined) return undefined;
        const after = change(before);
        if (after === before) return after;
        const { name, suspended_at, deleted_at } = toNamespaceRow(after);
        await writeUniqueName(uniqueName(after), () =>
          tx.updateTable("namespaces").set({ name, suspended_at, deleted_at }).where("id", "=", after.id).execute(),
        );
        return after;
      }),
  };
}

/**
 * Selects by id, or by name if not deleted, in every account that the transaction sees. Returns at most one more than an error lists. A
 * name is never an id.
 */
function selectNamespaces(tx: Transaction<AuthSchema>, requested: string) {
  const nameOrId = emptyIfUnstorable(requested);
  return tx
    .selectFrom("namespaces")
    .selectAll()
    .where((is) =>
      is.or([
        is.and([is("name", "=", nameOrId), is("deleted_at", "is", null)]),
        is(is.cast<string>("id", "text"), "=", nameOrId),
      ]),
    )
    .limit(MAX_AMBIGUOUS_IDS + 1);
}

/** @throws DomainError FAILED_PRECONDITION if several accounts have a namespace of this name */
function requireUnambiguous(
  name: string,
  rows: readonly Selectable<AuthSchema["namespaces"]>[],
): Namespace | undefined {
  const [row, ...others] = rows;
  if (others.length > 0) throw ambiguousName(name, rows.map(({ id }) => id).toSorted());
  return row && fromNamespaceRow(row);
}

function uniqueName({ name }: Namespace): UniqueName {
  return { name, constraint: "namespaces_account_name_key", owner: "another namespace of this account" };
}
