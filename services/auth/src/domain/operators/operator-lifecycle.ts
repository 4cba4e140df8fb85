import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, notFound } from "@routeplane/domain";
import { lastOf, scopesOf } from "../grant-rules.ts";
import { reachOf } from "../namespaces/account.ts";
import { requireAccount } from "../namespaces/require-account.ts";
import type { AccountStore, OperatorStore } from "../ports.ts";
import { newRotation } from "../rotation.ts";
import { newToken } from "../secret.ts";
import { requireWithinSession } from "../sessions/session-bound.ts";
import {
  newSubOperator,
  type Operator,
  type OperatorCaller,
  type OperatorRequest,
  requireOperatorAuthority,
  revokedOperator,
  rotatedOperator,
} from "./operator.ts";

/** An operator credential and its new token, which exists nowhere else. */
export interface MintedOperator {
  readonly operator: Operator;
  readonly token: string;
}

export interface RotatedOperator extends MintedOperator {
  /** First moment at which the replaced token is refused. */
  readonly graceEndsAt: Date;
}

/** Mint, rotation and revocation of operator credentials. NOT_FOUND for a credential out of the caller's reach. */
export interface OperatorLifecycle {
  /**
   * @param account name or id of the account to limit the new credential to; undefined: the caller's limit, if it has one
   * @throws DomainError as `newSubOperator`
   */
  mint(caller: OperatorCaller, account: string | undefined, request: OperatorRequest): Promise<MintedOperator>;
  /** @throws DomainError as `requireOperatorAuthority`, `rotatedOperator` and `newRotation` */
  rotate(caller: OperatorCaller, operatorId: Id<"op">, graceSecs: number | undefined): Promise<RotatedOperator>;
  /** @throws DomainError as `requireOperatorAuthority` */
  revoke(caller: OperatorCaller, operatorId: Id<"op">, reason: string | undefined): Promise<Operator>;
}

export interface OperatorLifecycleDependencies {
  readonly operators: OperatorStore;
  readonly accounts: AccountStore;
  readonly peppers: Peppers;
  readonly clock: Clock;
}

export function createOperatorLifecycle({
  operators,
  accounts,
  peppers,
  clock,
}: OperatorLifecycleDependencies): OperatorLifecycle {
  return {
    async mint(caller, accountNameOrId, request) {
      const limit =
        accountNameOrId === undefined ? undefined : await requireAccount(accounts, reachOf(caller), accountNameOrId);
      const { token, prefix, secret } = newToken("operator", peppers);
      const operator = await operators.add(caller, secret, (parent) => {
        const minted = newSubOperator(parent, limit?.id, request, prefix, clock());
        requireWithinSession(caller, minted.scopes);
        return minted;
      });
      return { operator, token };
    },

    async rotate(caller, operatorId, graceSecs) {
      const now = clock();
      const { token, prefix, rotation } = newRotation("operator", peppers, graceSecs, now);
      const operator = await operators.change(caller, operatorId, (lineage) => {
        requireOperatorAuthority(caller.operatorId, lastOf(lineage), "rotate");
        requireWithinSession(caller, scopesOf(lineage));
        return { operator: rotatedOperator(lineage, prefix, now), rotation };
      });
      if (operator === undefined) throw notFound();
      return { operator, token, graceEndsAt: rotation.graceEndsAt };
    },

    async revoke(caller, operatorId, reason) {
      const operator = await operators.change(caller, operatorId, (lineage) => {
        requireOperatorAuthority(caller.operatorId, lastOf(lineage), "revoke");
        return { operator: revokedOperator(lineage, reason, clock()) };
      });
      if (operator === undefined) throw notFound();
      return operator;
    },
  };
}
