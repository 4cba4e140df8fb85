/** Names of a provider's account and keys, by the form that providers give them. */
const NAMES: readonly RegExp[] = [
  /\b(?:org|organization|proj|project|acct|user|team|ws|wrkspc)[-_](?=[A-Za-z0-9-]*\d)[A-Za-z0-9-]{8,}/g,
  /\b(?:sk|pk|rk|csk|gsk|xai|hf|nvapi|pplx|fw|tgp|r8)[-_][\w*.\u2026-]{6,}/g,
  /\bAIza[\w-]{16,}/g,
  /\barn:aws[\w-]*:[^\s"'<>,]+/g,
  /\/subscriptions\/[^\s"'<>,]+/g,
  /\bprojects\/[\w:.-]+/g,
  /(?<=\b(?:project|account)(?: number| id)?[ :='"]{1,3})\d{6,}/gi,
  /\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b/g,
];

const URLS = /\bhttps?:\/\/[^\s"'<>()[\]{},]+/gi;
/** Hosts of one installation: without a dot, of a network inside, or of an account at a cloud. */
const INSIDE =
  /^(?:[^.]+|\[.*\]|[\d.]+|.*\.(?:local|localhost|internal|intranet|svc|lan|corp|home|test|azure\.com|azure-api\.net|amazonaws\.com))$/i;

const REDACTED = "[redacted]";

/**
 * Removes from an upstream's words what concerns the operator alone: ids of accounts and projects, what looks like a key, and
 * addresses inside a network. The words go to a client and into its namespace's request log. Public addresses stay: they lead to
 * a provider's documentation.
 */
export function withoutOperatorDetails(text: string): string {
  const withoutUrls = text.replace(URLS, (url) => (isPublic(url) ? url : REDACTED));
  return NAMES.reduce((rest, name) => rest.replace(name, REDACTED), withoutUrls);
}

function isPublic(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hostname, username, password } = new URL(text);
  return username === "" && password === "" && !INSIDE.test(hostname);
}
