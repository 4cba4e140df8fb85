/** Variables that give the node and the key to programs that call models. */

/** Programs whose variables `cloud env` knows. */
export const CLIENTS = ["openai", "anthropic", "claude-code", "codex", "langchain"] as const;
export type ClientName = (typeof CLIENTS)[number];

type Variables = Readonly<Record<string, string>>;

/** Variables of one program. @param url address of the node, without a slash at its end */
export function clientVariables(client: ClientName, url: string, token: string): Variables {
  const openai = { OPENAI_API_KEY: token, OPENAI_BASE_URL: `${url}/v1` };
  const anthropic = { ANTHROPIC_API_KEY: token, ANTHROPIC_BASE_URL: url };
  switch (client) {
    case "openai":
    case "codex":
      return openai;
    case "anthropic":
      return anthropic;
    case "claude-code":
      // Claude Code asks before it uses ANTHROPIC_API_KEY, but not for a token.
      return { ANTHROPIC_AUTH_TOKEN: token, ANTHROPIC_BASE_URL: url };
    case "langchain":
      return { ...openai, OPENAI_API_BASE: `${url}/v1`, ...anthropic };
  }
}

/**
 * Environment of a command that calls models with `token` alone: other credentials of this process, for the node or for the same clients,
 * are removed.
 */
export function commandEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  url: string,
  token: string,
): Readonly<Record<string, string | undefined>> {
  return {
    ...environment,
    ANTHROPIC_AUTH_TOKEN: undefined,
    ROUTEPLANE_OPERATOR_KEY: undefined,
    ...clientVariables("openai", url, token),
    ...clientVariables("anthropic", url, token),
    ROUTEPLANE_API_KEY: token,
    ROUTEPLANE_URL: url,
  };
}
