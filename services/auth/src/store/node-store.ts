import { DomainError } from "@routeplane/domain";
import { type Database, isUniqueViolation } from "@routeplane/postgres";
import type { NodeStore } from "../domain/ports.ts";
import { insertOperator } from "./operator-store.ts";
import { toAccountRow, toNamespaceRow } from "./convert-rows.ts";
import type { AuthSchema } from "./schema.ts";

/** Constraints that a second set-up of the node violates. */
const SET_UP_ONCE = ["operators_first", "accounts_name_key"];

export function createNodeStore(database: Database<AuthSchema>): NodeStore {
  return {
    async setUp(account, namespace, operator, secret) {
      try {
        await database.within({ node: true }, async (tx) => {
          await insertOperator(tx, operator, secret);
          await tx.insertInto("accounts").values(toAccountRow(account)).execute();
          await tx.insertInto("namespaces").values(toNamespaceRow(namespace)).execute();
        });
      } catch (error) {
        if (!SET_UP_ONCE.some((constraint) => isUniqueViolation(error, constraint))) throw error;
        const message = "this node was set up with another operator credential";
        throw new DomainError("failed_precondition", "STATE_CONFLICT", message);
      }
    },
  };
}
