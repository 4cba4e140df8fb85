import { hash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type AppliedLimits as ProtoLimits,
  AppliedLimitsSchema,
  EnforcementService,
  ListAppliedGuardrailsResponseSchema,
  type WatchPolicyChangesResponse,
} from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { watchChanges } from "@routeplane/rpc";
import { type Component, gauge } from "@routeplane/runtime";
import type { AppliedGuardrail, GuardrailDirectory } from "../domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../domain/ports/key-verifier.ts";
import type { LimitDirectory } from "../domain/ports/limit-directory.ts";
import { fromProtoAppliedGuardrail } from "./convert-guardrail.ts";
import { fromProtoAppliedLimits } from "./convert-limits.ts";
import { GuardrailCache } from "./guardrail-cache.ts";

export interface GuardrailDirectoryOptions {
  /** Bound of the memory of the cache. 64 MiB by default. */
  readonly maxBytes?: number;
  /** Maximum age of a cached entry in milliseconds, even while the feed is live. 15 minutes by default. */
  readonly maxAgeMs?: number;
  /** Monotonic clock in milliseconds. `performance.now` by default. */
  readonly monotonic?: () => number;
  /** Called with the bindings whose slices other processes need. Does nothing by default. */
  readonly onRecall?: (bindingIds: readonly string[]) => void;
}

type Guardrails = readonly AppliedGuardrail[];

/** Running call to the policy service. */
interface Flight {
  readonly namespaceId: string;
  /** True once a change was received during the call: its answer may lack that change. */
  isStale: boolean;
}

/** Flight and answer that requests of one key share. */
interface SharedFlight {
  readonly flight: Flight;
  readonly answer: Promise<Guardrails>;
}

/**
 * Client of the policy service's guardrails and limits, with a cache that the change feed invalidates.
 *
 * A warm key costs no call. A change is in force within 100 ms at p99. Once the feed has been silent for 2.5 s, every request
 * makes a call; if that gets no answer within 2 s, the request must be refused.
 *
 * Concurrency: a request uses an answer that contains every change received before the request began. A change that arrives
 * during a call makes the call stale: requests from then on share the next call, and the stale answer is not cached. So a request
 * waits for one call at most, however fast policies change, and changes in one namespace cost requests of others nothing.
 *
 * Equal answers are the same array, so that values derived from one (compiled patterns) serve every key to which the same guardrails apply,
 * and survive unrelated changes.
 *
 * @param policy transport to the policy service
 */
export function createGuardrailDirectory(
  policy: Transport,
  options: GuardrailDirectoryOptions = {},
): GuardrailDirectory & LimitDirectory & Component {
  const { maxBytes = 64 * 1024 ** 2, maxAgeMs = 15 * 60_000, monotonic = () => performance.now() } = options;
  const { onRecall = () => {} } = options;
  const client = createClient(EnforcementService, policy);
  const cache = new GuardrailCache({ maxBytes, maxAgeMs, monotonic });
  const flights = new Set<Flight>();
  /** Newest flight by namespace and key. */
  const newestFlights = new Map<string, SharedFlight>();
  const watch = watchChanges({
    call: (options) => withRecalls(client.watchPolicyChanges({}, options), onRecall),
    monotonic,
    onChange(namespaceId) {
      cache.invalidateNamespace(namespaceId);
      for (const flight of flights) if (flight.namespaceId === namespaceId) flight.isStale = true;
    },
    onGap() {
      cache.clear();
      for (const flight of flights) flight.isStale = true;
    },
  });

  function shareLimits(limits: ProtoLimits) {
    const bytes = toBinary(AppliedLimitsSchema, limits);
    return cache.share(`limits ${digestOf(bytes)}`, bytes.length, () => fromProtoAppliedLimits(limits));
  }

  async function listApplied({ namespaceId, lineage }: CallingKey) {
    try {
      const { guardrails, limits } = await client.listAppliedGuardrails({ namespaceId, lineage: [...lineage] });
      const bytes = toBinary(
        ListAppliedGuardrailsResponseSchema,
        create(ListAppliedGuardrailsResponseSchema, { guardrails }),
      );
      const shared = cache.share(`guardrails ${digestOf(bytes)}`, bytes.length, () =>
        guardrails.map(fromProtoAppliedGuardrail),
      );
      return { guardrails: shared, limits: limits && shareLimits(limits) };
    } catch (error) {
      // New bindings cannot make the answer too large; those of earlier releases can.
      const isTooLarge = error instanceof ConnectError && error.code === Code.ResourceExhausted;
      const message = isTooLarge
        ? "the guardrails that apply to this key are larger than a gateway reads; unbind some of them"
        : "the policy service does not answer; try again";
      const options = { metadata: { dependency: "policy" }, cause: error };
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, options);
    }
  }

  async function listAndCache(caller: CallingKey, flight: Flight): Promise<Guardrails> {
    const [requestedAt, wasLive] = [monotonic(), watch.isLive()];
    flights.add(flight);
    try {
      const answer = await listApplied(caller);
      if (wasLive && watch.isLive() && !flight.isStale) cache.put(caller, answer, requestedAt);
      return answer.guardrails.value;
    } finally {
      flights.delete(flight);
    }
  }

  gauge({
    name: "routeplane_policy_feed_age_seconds",
    help: "Time since the change feed of the policy service was last heard. Absent before the first message.",
    merge: "max",
    read() {
      const ageMs = monotonic() - watch.upToDateAt();
      return Number.isFinite(ageMs) ? ageMs / 1_000 : undefined;
    },
  });
  return {
    name: "guardrails",
    listApplied(caller) {
      const cached = watch.isLive() ? cache.find(caller) : undefined;
      if (cached !== undefined) return cached;
      const name = `${caller.namespaceId} ${caller.keyId}`;
      const newest = newestFlights.get(name);
      if (newest !== undefined && !newest.flight.isStale) return newest.answer;
      const flight: Flight = { namespaceId: caller.namespaceId, isStale: false };
      const answer = listAndCache(caller, flight).finally(() => {
        if (newestFlights.get(name)?.flight === flight) newestFlights.delete(name);
      });
      newestFlights.set(name, { flight, answer });
      return answer;
    },
    findLimits: (caller) => (watch.isLive() ? cache.findLimits(caller) : undefined),
    stop: () => watch.stop(),
  };
}

/** Passes on the messages of a change feed, and reports the recalls in them. */
async function* withRecalls(
  messages: AsyncIterable<WatchPolicyChangesResponse>,
  onRecall: (bindingIds: readonly string[]) => void,
): AsyncIterable<WatchPolicyChangesResponse> {
  for await (const message of messages) {
    if (message.recalledBindingIds.length > 0) onRecall(message.recalledBindingIds);
    yield message;
  }
}

function digestOf(bytes: Uint8Array): string {
  return hash("sha256", bytes, "base64");
}
