/**
 * Rules for the betas that a client of Anthropic's API names in a header. A beta may change the price of tokens, or add input and output
 * that the request does not bound. So only betas that are known not to do so pass.
 */
import { Refusal } from "../errors/refusal.ts";
import type { RequestContext } from "../request-context.ts";
import { NO_MEMBER_RULES } from "./member-rules.ts";
import type { Model } from "./model-directory.ts";
import { wiresOf } from "./model-fit.ts";

/** Header that names betas, divided by commas. */
const BETA_HEADER = "anthropic-beta";

/** Names, without their date, of the betas that have no effect on the price or the bounds of a request by themselves. */
const KNOWN_BETAS = new Set(
  `prompt-caching prompt-caching-scope extended-cache-ttl cache-diagnosis token-counting message-batches thinking-token-count
   interleaved-thinking dev-full-thinking redact-thinking thinking-display-updates thinking-binding-controls
   fine-grained-tool-streaming token-efficient-tools max-tokens-3-5-sonnet output-128k output-300k model-context-window-exceeded
   structured-outputs effort task-budgets tool-examples advanced-tool-use tool-search-tool mid-conversation-tool-changes
   mid-conversation-output-config mid-conversation-system-clear-at pdfs files-api search-results claude-code oauth user-profiles
   afk-mode summarize-connector-text
   computer-use context-management compact fast-mode mcp-client code-execution skills web-fetch web-search advisor-tool`.split(
    /\s+/,
  ),
);

/** Name of the beta of input beyond 200,000 tokens, and the length above which it is billed by another price. */
const LONG_CONTEXT = "context-1m";
const LONG_CONTEXT_TOKENS = 200_000;

/** Names under which the operator allows any beta. */
const ALLOWED_AS = ["anthropic_beta", "betas"];

/**
 * Checks the betas of a request. A beta that works through a member or a tool of the body is governed by the rules for that.
 *
 * @throws Refusal 400 `member_not_allowed` that names the first beta which is not allowed
 */
export function requireBetas(headers: RequestContext["forwardedHeaders"], model: Model): void {
  const header = headers?.[BETA_HEADER];
  // An upstream of another wire does not get the header.
  if (header === undefined || !wiresOf(model).has("messages")) return;
  const { allowed } = model.memberRules ?? NO_MEMBER_RULES;
  if (ALLOWED_AS.some((name) => allowed.has(name))) return;
  const refused = header
    .split(",")
    .map((beta) => beta.trim())
    .find((beta) => beta !== "" && !isAllowed(beta, model));
  if (refused !== undefined) throw betaNotAllowed(refused);
}

/** Matches the date at the end of the name of a beta. */
const DATE = /-(?:\d{4}-\d{2}-\d{2}|\d{8})$/;

function isAllowed(beta: string, { prices }: Model): boolean {
  const name = beta.toLowerCase().replace(DATE, "");
  if (name === LONG_CONTEXT) return prices.some(({ aboveInputTokens }) => aboveInputTokens === LONG_CONTEXT_TOKENS);
  return KNOWN_BETAS.has(name);
}

function betaNotAllowed(beta: string): Refusal {
  const message =
    `'${BETA_HEADER}' with the value ${JSON.stringify(beta.slice(0, 60))} is not allowed: it may change the price of the model's ` +
    "tokens or their number. Leave it out, or ask the operator to allow it in the providers file (allow_members: [anthropic_beta]).";
  return new Refusal("member_not_allowed", message, { param: BETA_HEADER });
}
