import { DomainError, type Id } from "@routeplane/domain";
import { MAX_COMPOSED_BYTES, MAX_COMPOSED_INSTRUCTIONS, MAX_COMPOSED_PATTERNS } from "@routeplane/guardrails";

/** Quotas. They bound the policies that one request is judged by, and the rows that one change touches. */
export const MAX_POLICIES_OF_NAMESPACE = 1_000;
export const MAX_BINDINGS_OF_PRINCIPAL = 100;
export const MAX_BINDINGS_OF_POLICY = 1_000;

/** Quotas for sub-keys, within the quotas above: the rest is reserved for root keys. */
const MAX_POLICIES_BY_SUB_KEYS = 500;
const MAX_BINDINGS_OF_PRINCIPAL_BY_SUB_KEYS = 50;
const MAX_BINDINGS_OF_POLICY_BY_SUB_KEYS = 500;
/** Quota of a key directly below a root key together with all keys below it. */
const MAX_POLICIES_BY_BRANCH = 100;
/** Quota of bindings that a sub-key makes to itself: the rest is reserved for the keys above it. */
const MAX_BINDINGS_OF_PRINCIPAL_BY_ITSELF = 25;

/** Numbers of existing policies or bindings, by creator. */
export interface CountsByCreator {
  readonly all: number;
  readonly bySubKeys: number;
}

/** @throws DomainError RESOURCE_EXHAUSTED if the key at the end of the lineage may create no more policies */
export function requirePolicyQuota(
  creatorLineage: readonly Id<"key">[],
  { all, bySubKeys, byBranch }: CountsByCreator & { readonly byBranch: number },
): void {
  requireQuota(all, MAX_POLICIES_OF_NAMESPACE, "a namespace has policies");
  if (!isSubKey(creatorLineage)) return;
  requireQuota(bySubKeys, MAX_POLICIES_BY_SUB_KEYS, "the sub-keys of a namespace create policies");
  const branch = `${creatorLineage[1]} and the keys below it create policies`;
  requireQuota(byBranch, MAX_POLICIES_BY_BRANCH, branch);
}

/** @throws DomainError RESOURCE_EXHAUSTED if the key at the end of the lineage may bind nothing more to a principal */
export function requirePrincipalBindingQuota(
  creatorLineage: readonly Id<"key">[],
  principalId: Id<"ns"> | Id<"key">,
  { all, bySubKeys, byItself }: CountsByCreator & { readonly byItself: number },
): void {
  requireQuota(all, MAX_BINDINGS_OF_PRINCIPAL, "a principal has policies bound to it");
  if (!isSubKey(creatorLineage)) return;
  requireQuota(bySubKeys, MAX_BINDINGS_OF_PRINCIPAL_BY_SUB_KEYS, "sub-keys bind policies to one principal");
  if (creatorLineage.at(-1) !== principalId) return;
  requireQuota(byItself, MAX_BINDINGS_OF_PRINCIPAL_BY_ITSELF, "a sub-key binds policies to itself");
}

/** @throws DomainError RESOURCE_EXHAUSTED if the key at the end of the lineage may bind a policy to nothing more */
export function requirePolicyBindingQuota(
  creatorLineage: readonly Id<"key">[],
  { all, bySubKeys }: CountsByCreator,
): void {
  requireQuota(all, MAX_BINDINGS_OF_POLICY, "a policy has bindings");
  if (!isSubKey(creatorLineage)) return;
  requireQuota(bySubKeys, MAX_BINDINGS_OF_POLICY_BY_SUB_KEYS, "sub-keys bind one policy to principals");
}

/** Size of a guardrail, or of all that apply to one principal: those of its namespace and of every key of its lineage. */
export interface GuardrailSize {
  /** Number of content patterns. */
  readonly patterns: number;
  /** Instructions that the patterns compile to. */
  readonly instructions: number;
  /** Bytes that a service sends for it, with the source of each rule. */
  readonly bytes: number;
}

const GUARDRAIL_BOUNDS: readonly (readonly [keyof GuardrailSize, number, (size: string) => string])[] = [
  ["patterns", MAX_COMPOSED_PATTERNS, (count) => `have ${count} content patterns`],
  ["instructions", MAX_COMPOSED_INSTRUCTIONS, (count) => `have content patterns that compile to ${count} instructions`],
  ["bytes", MAX_COMPOSED_BYTES, (count) => `take ${count} bytes`],
];

/** @throws DomainError RESOURCE_EXHAUSTED if the guardrails that apply to a principal are more than a gateway judges by */
export function requireGuardrailQuota(principalId: string, size: GuardrailSize): void {
  for (const [measure, limit, text] of GUARDRAIL_BOUNDS) {
    if (size[measure] <= limit) continue;
    const sum = `the guardrails that apply to ${principalId} would ${text(String(size[measure]))} together`;
    const message = `${sum}, more than ${limit}: unbind some, or make them smaller`;
    const metadata = { limit: String(limit), sum: String(size[measure]), principal_id: principalId };
    throw new DomainError("resource_exhausted", "LIMIT_REACHED", message, { metadata });
  }
}

function isSubKey(lineage: readonly Id<"key">[]): boolean {
  return lineage.length > 1;
}

function requireQuota(count: number, limit: number, sentence: string): void {
  if (count < limit) return;
  throw new DomainError("resource_exhausted", "LIMIT_REACHED", `${sentence} at most ${limit}, and there are as many`, {
    metadata: { limit: String(limit) },
  });
}
