import type { Peppers } from "@routeplane/credentials";
import { type Clock, type Id, notFound } from "@routeplane/domain";
import { accountFor } from "../namespaces/find-account.ts";
import { graceMs } from "../keys/key-change.ts";
import { lastOf } from "../grant-rules.ts";
import { reachOf } from "../namespaces/account.ts";
import {
  newSubOperator,
  type Operator,
  type OperatorRequest,
  requireOperatorAuthority,
  revokedOperator,
  rotatedOperator,
} from "./operator.ts";
import type { AccountStore, OperatorStore } from "../ports.ts";
import { newSecret } from "../secret.ts";

/** The operator credential that asks. */
export interface OperatorCaller {
  readonly operatorId: Id<"op">;
  readonly accountId: Id<"acc"> | undefined;
  /** Lookup id of the token that the caller presented. */
  readonly lookupId: string;
}

/** An operator credential and its new token, which exists nowhere else. */
export interface MintedOperator {
  readonly operator: Operator;
  readonly token: string;
}

export interface RotatedOperator extends MintedOperator {
  /** First moment at which the token that it had is refused. */
  readonly graceEndsAt: Date;
}

/** Operator credentials, as far as the caller sees them. @throws DomainError NOT_FOUND for any other */
export interface OperatorLifecycle {
  /**
   * @param account name or id of the account to limit it to; undefined: as the caller is
   * @throws DomainError as `newSubOperator`
   */
  mint(caller: OperatorCaller, account: string | undefined, request: OperatorRequest): Promise<MintedOperator>;
  /** @throws DomainError as `requireOperatorReach`, `rotatedOperator` and `graceMs` */
  rotate(caller: OperatorCaller, id: Id<"op">, graceSecs: number | undefined): Promise<RotatedOperator>;
  /** @throws DomainError as `requireOperatorReach` */
  revoke(caller: OperatorCaller, id: Id<"op">, reason: string | undefined): Promise<Operator>;
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
    async mint(caller, account, request) {
      const limit = account === undefined ? undefined : await accountFor(accounts, reachOf(caller), account);
      const { token, prefix, secret } = newSecret("operator", peppers);
      const operator = await operators.add(caller, secret, (parent) =>
        newSubOperator(parent, limit?.id, request, prefix, clock()),
      );
      return { operator, token };
    },

    async rotate(caller, id, graceSecs) {
      const grace = graceMs(graceSecs);
      const { token, prefix, secret } = newSecret("operator", peppers);
      const now = clock();
      const graceEndsAt = new Date(now + grace);
      const operator = await operators.change(caller, id, (lineage) => {
        requireOperatorAuthority(caller.operatorId, lastOf(lineage), "rotate");
        // Without grace, nothing but the new token is to work: neither what an earlier rotation left.
        const rotation = { secret, graceEndsAt, endsAll: grace === 0 };
        return { operator: rotatedOperator(lineage, prefix, now), rotation };
      });
      if (operator === undefined) throw notFound();
      return { operator, token, graceEndsAt };
    },

    async revoke(caller, id, reason) {
      const operator = await operators.change(caller, id, (lineage) => {
        requireOperatorAuthority(caller.operatorId, lastOf(lineage), "revoke");
        return { operator: revokedOperator(lineage, reason, clock()) };
      });
      if (operator === undefined) throw notFound();
      return operator;
    },
  };
}
