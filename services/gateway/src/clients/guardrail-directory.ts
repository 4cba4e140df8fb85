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
import type { AppliedGuardrail, GuardrailDirectory } from "../domain/ports/guardrail-directory.ts";
import type { CallingKey } from "../domain/ports/key-verifier.ts";
import { fromProtoAppliedGuardrail } from "./convert-guardrail.ts";
import { GuardrailCache } from "./guardrail-cache.ts";

export interface GuardrailDirectoryOptions {
  /** Keys whose guardrails are kept. 20,000 by default. */
  readonly capacity?: number;
  /** `performance.now` by default. */
  readonly monotonic?: () => number;
}

type Guardrails = readonly AppliedGuardrail[];

/** A call to the policy service that has no answer yet. */
interface Flight {
  readonly namespaceId: string;
  /** True once a change was received during the call: the answer may not have that change in it. */
  overtaken: boolean;
}

/** A flight and the answer that requests of one key share. */
interface SharedFlight {
  readonly flight: Flight;
  readonly answer: Promise<Guardrails>;
}

/** Different answers that are remembered, to be the same array when they come again. */
const MAX_SHARED = 1_000;

/**
 * Guardrails of calling keys, without a call while they are warm. They are kept for as long as the policy service says what
 * changes, and in force here within 100 ms of a change at p99. Once its feed has been silent for 2.5 s it is asked every time;
 * when it does not answer that either, within 2 s, the request must be refused.
 *
 * A request uses the newest answer that has every change in it which was heard before the request began. A change that is heard
 * while the answer is on its way is for later requests: they share the next call, and the answer is not kept. So a request
 * waits for one call at most, however fast policies change, and changes of one namespace cost requests of others nothing.
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
  /** The newest flight of each key. */
  const underWay = new Map<string, SharedFlight>();
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

  async function ask({ namespaceId, lineage }: CallingKey): Promise<Guardrails> {
    try {
      return shared.of(await client.listAppliedGuardrails({ namespaceId, lineage: [...lineage] }));
    } catch (error) {
      throw new DomainError("unavailable", "DEPENDENCY_UNAVAILABLE", "the policy service does not answer; try again", {
        metadata: { dependency: "policy" },
        cause: error,
      });
    }
  }

  async function askAndKeep(caller: CallingKey, flight: Flight): Promise<Guardrails> {
    const [askedAt, wasLive] = [monotonic(), watch.isLive()];
    flights.add(flight);
    try {
      const guardrails = await ask(caller);
      if (wasLive && watch.isLive() && !flight.overtaken) cache.keep(caller, guardrails, askedAt);
      return guardrails;
    } finally {
      flights.delete(flight);
    }
  }

  return {
    name: "guardrails",
    async of(caller) {
      const known = watch.isLive() ? cache.find(caller) : undefined;
      if (known !== undefined) return known;
      const name = `${caller.namespaceId} ${caller.keyId}`;
      const newest = underWay.get(name);
      if (newest !== undefined && !newest.flight.overtaken) return newest.answer;
      const flight: Flight = { namespaceId: caller.namespaceId, overtaken: false };
      const answer = askAndKeep(caller, flight).finally(() => {
        if (underWay.get(name)?.flight === flight) underWay.delete(name);
      });
      underWay.set(name, { flight, answer });
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
