import { Dimension } from "@routeplane/contracts/policy";
import { type Id, newId } from "@routeplane/domain";
import { sql } from "kysely";
import { expect } from "vitest";
import { FakeSessionLog } from "../fake-session-log.ts";
import { type PolicyUnderTest } from "../policy-under-test.ts";
import type { Random } from "../random.ts";
import { type Counted, nameOf, type Request } from "./requests.ts";

const { MONEY, REQUESTS, TOKENS, CONCURRENT } = Dimension;
/** Window that is longer than a test, so that nothing leaves it. Its buckets are 36 s long. */
const WINDOW_SECS = 3_600;
export const BUCKET_MS = WINDOW_SECS * 10;
const BUDGET = { kind: "budget", window: "total", limitMicroUsd: 70n } as const;
const RATES = { windowSecs: WINDOW_SECS, maxRequests: 50n, maxTokens: 600n, maxConcurrent: 64n };

/** Process of the service, as a gateway calls it. */
export type PolicyProcess = ReturnType<PolicyUnderTest["as"]>;

/** Two budgets on a namespace and a key, and two rate limits on them; some are edited, disabled, enabled, unbound and bound again. */
export async function newWorld(policy: PolicyUnderTest, processes: readonly PolicyProcess[], random: Random) {
  const namespaceId = newId("ns");
  const keys = [policy.key(namespaceId), policy.key(namespaceId)] as const;
  const specs = [BUDGET, { kind: "rate_limit", ...RATES }] as const;
  const bind = (index: number) =>
    policy.bound(namespaceId, specs[index % 2] ?? BUDGET, index < 2 ? undefined : keys[0].id);
  const places = await Promise.all([0, 1, 2, 3].map(bind));
  const place = () => random.int(places.length);
  return {
    policy,
    processes,
    namespaceId,
    keys,
    places,
    requests: [] as Request[],
    log: new FakeSessionLog(),
    /** Requests and tokens that were granted or centrally admitted, minus returned ones, by counter. */
    counted: new Map<string, bigint>(),
    ceilings: new Map<string, bigint>(),
    sums: new Map<string, readonly bigint[]>(),
    /** Amounts that the slices of lost sessions have used and keep reserved, by session and binding. */
    lost: new Map<Id<"gws">, Map<Id<"bnd">, bigint>>(),
    rows: new Map<string, { readonly state: string; readonly cost: bigint | null }>(),
    startedAtMs: Date.now(),
    /** Counters of a key's requests. */
    countersOf(nth: number, of: readonly (typeof places)[number][]): readonly Counted[] {
      return of
        .slice(0, nth === 0 ? 4 : 2)
        .flatMap(({ binding: { id }, policy: { spec } }): readonly Counted[] =>
          spec.kind === "budget"
            ? [{ id, dimension: MONEY }]
            : [REQUESTS, TOKENS, CONCURRENT].map((dimension) => ({ id, dimension })),
        );
    },
    count(counter: Counted, amount: bigint): void {
      this.counted.set(nameOf(counter), (this.counted.get(nameOf(counter)) ?? 0n) + amount);
    },
    async edit() {
      const { policy: edited } = places[place()] ?? expect.fail("no place");
      const factor = 40 + random.int(120);
      const share = (amount: bigint): number => Math.floor((Number(amount) * factor) / 100);
      const spec =
        edited.spec.kind === "budget"
          ? { window: "total", limit_micro_usd: share(BUDGET.limitMicroUsd) }
          : {
              window_secs: WINDOW_SECS,
              max_requests: share(RATES.maxRequests),
              max_tokens: share(RATES.maxTokens),
              max_concurrent: Math.max(64, share(RATES.maxConcurrent)),
            };
      await policy.tamper(sql`update policies set spec = ${JSON.stringify(spec)}::jsonb where id = ${edited.id}`);
    },
    async toggle() {
      const { policy: toggled } = places[place()] ?? expect.fail("no place");
      await policy.tamper(
        sql`update policies set disabled_at = case when disabled_at is null then now() end where id = ${toggled.id}`,
      );
    },
    async rebind() {
      const index = place();
      const id = places[index]?.binding.id;
      // As the store does: the counter is locked first.
      await policy.tamper(sql`with locked as (select from counters where binding_id = ${id} for update)
        delete from bindings where id = ${id} and (select count(*) from locked) >= 0`);
      places[index] = await bind(index);
    },
  };
}

export type World = Awaited<ReturnType<typeof newWorld>>;
