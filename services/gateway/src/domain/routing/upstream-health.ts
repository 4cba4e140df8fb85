import { counter, gauge } from "@routeplane/runtime";
import type { AttemptOutcome, OutcomeKind } from "./attempt-outcome.ts";
import { Circuit, type CallPermit } from "./circuit.ts";
import { RetryBudget } from "./retry-budget.ts";

/** A model at a provider. */
export interface ModelKey {
  readonly provider: string;
  readonly id: string;
}

const attempts = counter({
  name: "routeplane_gateway_upstream_attempts_total",
  help: "Calls of upstreams that ended, by provider and outcome.",
  labels: ["provider", "outcome"],
});
const refusedRetries = counter({
  name: "routeplane_gateway_upstream_retries_refused_total",
  help: "Further attempts that were not made because the retry budget of the provider was used up.",
  labels: ["provider"],
});

/** Models and providers that are remembered; beyond that the oldest is forgotten, as if it were healthy. */
const CAPACITY = 10_000;
/** Longest time for which a model is passed over because its upstream asked for a wait. */
const MAX_PAUSE_MS = 60_000;

/** Health of every model at its provider, and the retry budget of every provider, as this process has seen them. */
export class UpstreamHealth {
  readonly #clock: () => number;
  readonly #models = new Map<string, ModelHealth>();
  readonly #budgets = new Map<string, RetryBudget>();

  /** @param clock monotonic, in milliseconds */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
    gauge({
      name: "routeplane_gateway_upstream_circuit_open",
      help: "1 while the circuit of a model at its provider is open, so that other models are called instead; else 0.",
      labels: ["provider", "model"],
      merge: "max",
      read: () =>
        [...this.#models.values()].map(({ provider, model, isOpen }) => ({
          labels: { provider, model },
          value: isOpen ? 1 : 0,
        })),
    });
  }

  of({ provider, id }: ModelKey): ModelHealth {
    const key = `${provider}/${id}`;
    const known = this.#models.get(key);
    if (known !== undefined) return known;
    return remember(this.#models, key, new ModelHealth(provider, id, this.#budgetOf(provider), this.#clock));
  }

  #budgetOf(provider: string): RetryBudget {
    return this.#budgets.get(provider) ?? remember(this.#budgets, provider, new RetryBudget(this.#clock));
  }
}

function remember<T>(known: Map<string, T>, key: string, value: T): T {
  const [oldest] = known.size < CAPACITY ? [] : known.keys();
  if (oldest !== undefined) known.delete(oldest);
  known.set(key, value);
  return value;
}

/** Health of one model at its provider. */
export class ModelHealth {
  readonly provider: string;
  readonly model: string;
  readonly #clock: () => number;
  readonly #circuit = new Circuit();
  readonly #budget: RetryBudget;
  readonly #ended = new Map<OutcomeKind, ReturnType<typeof attempts.series>>();
  /** Monotonic time until which its upstream asked for a wait. */
  #pausedUntil = 0;

  constructor(provider: string, model: string, budget: RetryBudget, clock: () => number) {
    this.provider = provider;
    this.model = model;
    this.#budget = budget;
    this.#clock = clock;
  }

  get isOpen(): boolean {
    return this.#circuit.isOpen(this.#clock());
  }

  /** False while another model should be called instead. */
  get isAvailable(): boolean {
    const now = this.#clock();
    return now >= this.#pausedUntil && !this.#circuit.isOpen(now);
  }

  /** Begins the first attempt of a request at the provider. Each attempt needs its `end`. */
  begin(): CallPermit {
    this.#budget.addRequest();
    return this.beginAgain();
  }

  /** Begins a further attempt of a request at the provider. */
  beginAgain(): CallPermit {
    return this.#circuit.begin(this.#clock());
  }

  end(permit: CallPermit, { kind, isHealthy, retryAfterMs }: AttemptOutcome): void {
    const now = this.#clock();
    this.#circuit.end(permit, isHealthy, now);
    const isWait = retryAfterMs !== undefined && (kind === "rate_limited" || kind === "server_error");
    if (isWait) this.#pausedUntil = now + Math.min(retryAfterMs, MAX_PAUSE_MS);
    let series = this.#ended.get(kind);
    if (series === undefined) {
      series = attempts.series({ provider: this.provider, outcome: kind });
      this.#ended.set(kind, series);
    }
    series.inc();
  }

  /** Takes a further attempt from the retry budget of the provider. @returns false if it is used up */
  tryTakeRetry(): boolean {
    const isTaken = this.#budget.tryTake();
    if (!isTaken) refusedRetries.inc({ provider: this.provider });
    return isTaken;
  }
}
