import { type NatsAddress, parseNatsUrl } from "@routeplane/events";
import { type Environment, readEnvironment, readServerConfig, type ServerConfig } from "@routeplane/runtime";
import { loadProviders, type Provider } from "./providers/providers.ts";

export interface Config extends ServerConfig {
  readonly authUrl: string;
  readonly policyUrl: string;
  readonly usageUrl: string;
  readonly nats: NatsAddress;
  readonly providers: readonly Provider[];
  /** What the operator asked for and this version does not do. */
  readonly warnings: readonly string[];
}

/** @throws ConfigurationError that lists every fault of the environment, or names the fault in the providers file */
export function readConfig(variables: Readonly<Record<string, string | undefined>>): Config {
  const { providersFile, echo, openAiApiKey, anthropicApiKey, ...settings } = readEnvironment(variables, readSettings);
  const variable = (name: string): string | undefined => variables[name];
  const providers = loadProviders({ file: providersFile, echo: echo === "on", openAiApiKey, variable });
  const warnings =
    anthropicApiKey === undefined
      ? []
      : ["ANTHROPIC_API_KEY is set, but this version serves no anthropic upstreams: it has no effect"];
  return Object.freeze({ ...settings, providers, warnings });
}

function readSettings(env: Environment) {
  const http = ["http:", "https:"];
  return {
    ...readServerConfig(env),
    authUrl: env.url("ROUTEPLANE_AUTH_URL", http),
    policyUrl: env.url("ROUTEPLANE_POLICY_URL", http),
    usageUrl: env.url("ROUTEPLANE_USAGE_URL", http),
    nats: env.parsed("ROUTEPLANE_NATS_URL", "must be nats://[user:password@]host[:port]", parseNatsUrl),
    providersFile: env.optionalText("ROUTEPLANE_PROVIDERS"),
    echo: env.parsed("ROUTEPLANE_ECHO", "must be on or off", parseSwitch, "off"),
    openAiApiKey: env.optionalText("OPENAI_API_KEY"),
    anthropicApiKey: env.optionalText("ANTHROPIC_API_KEY"),
  };
}

function parseSwitch(text: string): "on" | "off" | undefined {
  return text === "on" || text === "off" ? text : undefined;
}
