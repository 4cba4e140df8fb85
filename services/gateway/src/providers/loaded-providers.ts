import { redactTokens } from "@routeplane/credentials";
import type { Clock } from "@routeplane/domain";
import { type Component, ConfigurationError, type Logger } from "@routeplane/runtime";
import type { Upstream } from "../domain/ports/upstream.ts";
import { ProviderSet, type ServedProviders } from "../domain/provider-set.ts";
import { createModelDirectory } from "../domain/request/model-directory.ts";
import { SecretRedactor } from "../domain/response/secret-redactor.ts";
import type { Provider } from "./providers.ts";

export interface LoadedProvidersOptions {
  /** Providers of the first load. */
  readonly providers: readonly Provider[];
  /** Loads the providers as the file, the files of keys and the environment are now. @throws ConfigurationError */
  readonly load: () => readonly Provider[];
  /** Opens the upstream of a provider, whose answers are to hold none of these secrets. */
  readonly open: (provider: Provider, secrets: SecretRedactor) => Upstream;
  readonly clock: Clock;
}

/** Bound of the secrets of earlier loads that are still removed from log lines. */
const MAX_EARLIER_SECRETS = 1_000;
/** Bound of the names in a log line. */
const MAX_NAMES = 50;

/**
 * Providers that are served, and that can be loaded again while requests run. A set of providers is opened completely before it
 * replaces the one before it; one that cannot be loaded changes nothing.
 */
export class LoadedProviders implements ServedProviders, Component {
  readonly name = "upstreams";
  readonly #options: LoadedProvidersOptions;
  readonly #retiring = new Set<ProviderSet>();
  #providers: readonly Provider[];
  #current: ProviderSet;
  #textSecrets: SecretRedactor;

  constructor(options: LoadedProvidersOptions) {
    this.#options = options;
    this.#providers = options.providers;
    this.#current = this.#open(options.providers);
    this.#textSecrets = new SecretRedactor(secretsOf(options.providers));
  }

  get current(): ProviderSet {
    return this.#current;
  }

  /** Replaces secrets of providers, also of earlier loads, and tokens of this product in a text that the gateway writes. */
  redact(text: string): string {
    return this.#textSecrets.text(redactTokens(text));
  }

  /** Loads the providers again, and logs what has changed, or why nothing has. Never throws. */
  reload(log: Logger): void {
    let loaded: readonly Provider[];
    try {
      loaded = this.#options.load();
    } catch (error) {
      const fault = error instanceof ConfigurationError ? error.message : String(error);
      log.error({ fault }, "reloading providers failed: the former ones stay in use");
      return;
    }
    const changes = changesOf(this.#providers, loaded);
    const secrets = [...secretsOf(loaded), ...this.#textSecrets.secrets.slice(0, MAX_EARLIER_SECRETS)];
    this.#textSecrets = new SecretRedactor(secrets);
    const former = this.#current;
    this.#current = this.#open(loaded);
    this.#providers = loaded;
    this.#retire(former, log);
    log.info(changes, "providers reloaded");
    warnOfProviders(loaded, log);
  }

  /** Closes all upstreams, those of earlier loads too. */
  async stop(): Promise<void> {
    await Promise.all([this.#current, ...this.#retiring].map((set) => set.close()));
  }

  #open(providers: readonly Provider[]): ProviderSet {
    const secrets = new SecretRedactor(secretsOf(providers));
    const upstreams = providers.map((provider) => [provider.name, this.#options.open(provider, secrets)] as const);
    const directory = createModelDirectory(
      providers.flatMap(({ models }) => models),
      (provider, id) => providers.find(({ name }) => name === provider)?.findPriced(id),
    );
    return new ProviderSet(directory, new Map(upstreams), new Date(this.#options.clock()));
  }

  #retire(set: ProviderSet, log: Logger): void {
    this.#retiring.add(set);
    set
      .retire()
      .catch((error: unknown) => log.warn({ err: error }, "closing upstreams of the former providers failed"))
      .finally(() => this.#retiring.delete(set));
  }
}

/** Logs the providers whose key is missing, and the models whose price is not known. */
export function warnOfProviders(providers: readonly Provider[], log: Logger): void {
  for (const { name, models, unpriced } of providers) {
    const variable = models.find(({ unavailable }) => unavailable !== undefined)?.unavailable?.variable;
    if (variable !== undefined)
      log.warn({ provider: name, variable }, "provider key is missing: its models are listed and refused");
    const refused = models.flatMap(({ id, isPriceRefused }) => (isPriceRefused === true ? [id] : []));
    const charged = unpriced.filter((id) => !refused.includes(id));
    if (charged.length > 0)
      log.warn(
        { provider: name, models: charged },
        "models without a known price are charged at 10/30 USD per million tokens",
      );
    if (refused.length > 0) log.warn({ provider: name, models: refused }, "models without a known price are refused");
  }
}

function secretsOf(providers: readonly Provider[]): readonly string[] {
  return providers.flatMap(({ secrets }) => secrets);
}

/** Names of the providers and models that a reload adds, removes and changes. */
function changesOf(former: readonly Provider[], loaded: readonly Provider[]) {
  const [before, after] = [describe(former), describe(loaded)];
  const added = [...after.keys()].filter((name) => !before.has(name));
  const removed = [...before.keys()].filter((name) => !after.has(name));
  const changed = [...after].filter(([name, text]) => before.has(name) && before.get(name) !== text);
  return {
    providers: loaded.length,
    models: loaded.reduce((sum, { models }) => sum + models.length, 0),
    added: added.slice(0, MAX_NAMES),
    removed: removed.slice(0, MAX_NAMES),
    changed: changed.slice(0, MAX_NAMES).map(([name]) => name),
  };
}

/** Settings of each provider and of each model as text, by `provider` and `provider/model`. */
function describe(providers: readonly Provider[]): ReadonlyMap<string, string> {
  return new Map(
    providers.flatMap(({ name, upstream, models }) => [
      [name, textOf(upstream)] as const,
      ...models.map((model) => [`${name}/${model.id}`, textOf(model)] as const),
    ]),
  );
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => {
    if (typeof member === "bigint") return String(member);
    return member instanceof Map || member instanceof Set ? [...(member as Iterable<unknown>)] : member;
  });
}
