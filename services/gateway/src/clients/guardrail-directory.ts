import { hash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  EnforcementService,
  type ListAppliedGuardrailsResponse,
  ListAppliedGuardrailsResponseSchema,
} from "@routeplane/contracts/policy";
import { DomainError } from "@routeplane/domain";
import { watchChanges } from "@routeplane/rpc";
import type { Component } from "@routeplane/runtime";
import type { AppliedGuardrail, CallingKey, GuardrailDirectory } from "../domain/ports.ts";
import { fromProtoAppliedGuardrail } from "./convert-guardrail.ts";
import { GuardrailCache } from "./guardrail-cache.ts";

export interface GuardrailDirectoryOptions {
  /** Keys whose guardrails are kept. 20,000 by default. */
  readonly capacity?: number;
  /** `performance.now` by default. */
  readonly monotonic?: () => number;
}

type Guardrails = readonly AppliedGuardrail[];

/** A question that is on its way to the policy service. */
interface Flight {
  readonly namespaceId: string;
  /** Whether something changed meanwhile: the answer may have been given before. */
  overtaken: boolean;
}

/** An answer that is overtaken by changes is asked for again, and hardly ever twice. */
const MAX_ATTEMPTS = 5;
/** Different answers that are remembered, to be the same array when they come again. */
const MAX_SHARED = 1_000;

/**
 * Guardrails of calling keys, without a call while they are warm. They are kept for as long as the policy service says what
 * changes, and in force here within 100 ms of a change at p99. Once its feed has been silent for 2.5 s it is asked every time;
 * when it does not answer that either, within 2 s, the request must be refused.
 *
 * Equal answers are one and the same array: what is made of one (compiled patterns) serves every key to which the same
 * guardrails apply, and outlives a change of something else.
 *
 * @param policy transport to the policy service
 */
export function createGuardrailDirectory(
  policy: Transport,
  options: GuardrailDirectoryOptions = {},
): GuardrailDirectory & Component {
  const { capacity = 20_000, monotonic = () => performance.now() } = options;
  const client = createClient(EnforcementService, policy);
  const cache = new GuardrailCache({ capacity, monotonic });
  const shared = new SharedAnswers();
  const flights = new Set<Flight>();
  const underWay = new Map<string, Promise<Guardrails>>();
  const watch = watchChanges({
    call: (options) => client.watchPolicyChanges({}, options),
    monotonic,
    onChange(namespaceId) {
      cache.drop(namespaceId);
      for (const flight of flights) if (flight.namespaceId === namespaceId) flight.overtaken = true;
    },
    onGap() {
      cache.clear();
      for (const flight of flights) flight.overtaken = true;
    },
  });

  async function ask(caller: CallingKey): Promise<Guardrails> {
    const { namespaceId, lineage } = caller;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const askedAt = monotonic();
      const live = watch.isLive();
      const flight: Flight = { namespaceId, overtaken: false };
      flights.add(flight);
      try {
        const answer = await client.listAppliedGuardrails({ namespaceId, lineage: [...lineage] });
        if (flight.overtaken) continue;
        const guardrails = shared.of(answer);
        if (live && watch.isLive()) cache.keep(caller, guardrails, askedAt);
        return guardrails;
      } catch (error) {
        throw unknown("the policy service does not answer; try again", error);
      } finally {
        flights.delete(flight);
      }
    }
    throw unknown("policies change faster than they can be read; try again");
  }

  return {
    name: "guardrails",
    async of(caller) {
      const known = watch.isLive() ? cache.find(caller) : undefined;
      if (known !== undefined) return known;
      const name = `${caller.namespaceId} ${caller.keyId}`;
      const asked = underWay.get(name);
      if (asked !== undefined) return asked;
      const answer = ask(caller).finally(() => underWay.delete(name));
      underWay.set(name, answer);
      return answer;
    },
    stop: () => watch.stop(),
  };
}

/** Those that did not come for longest are forgotten. */
class SharedAnswers {
  readonly #byDigest = new Map<string, Guardrails>();

  of(answer: ListAppliedGuardrailsResponse): Guardrails {
    const digest = hash("sha256", toBinary(ListAppliedGuardrailsResponseSchema, answer), "base64");
    const guardrails = this.#byDigest.get(digest) ?? answer.guardrails.map(fromProtoAppliedGuardrail);
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, guardrails);
    if (this.#byDigest.size > MAX_SHARED) {
      for (const oldest of this.#byDigest.keys()) {
        this.#byDigest.delete(oldest);
        break;
      }
    }
    return guardrails;
  }
}

function unknown(message: string, cause?: unknown): DomainError {
  return new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", message, {
    metadata: { dependency: "policy" },
    cause,
  });
}
