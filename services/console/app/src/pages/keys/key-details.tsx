import { effectiveScopes } from "@routeplane/credentials/scopes";
import type { ReactNode } from "react";
import { CopyableId } from "../../components/copyable-id.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import styles from "./key-details.module.css";
import { KeyStateBadge } from "./key-state-badge.tsx";
import type { KeyBranch } from "./key-tree.ts";

/** Facts of a key. Its token is not among them: nobody can see it again. */
export function KeyDetails({ branch: { key, lineage, state } }: { readonly branch: KeyBranch }) {
  const parent = lineage.at(-2);
  const ownExpiry = fromTimestamp(key.expiresAt);
  return (
    <dl className={styles.facts}>
      <Fact name="State">
        <KeyStateBadge state={state} />
        {state.ancestor !== undefined && (
          <>
            {" "}
            <KeyLink id={state.ancestor.id} name={state.ancestor.name} /> above it is {state.kind}, and so is this key.
          </>
        )}
      </Fact>
      <Fact name="Id">
        <CopyableId id={key.id} />
      </Fact>
      <Fact name="Token starts with">
        <code>{key.prefix}</code>
      </Fact>
      <Fact name="Scopes">
        <Scopes granted={key.scopes} held={effectiveScopes(lineage.map(({ scopes }) => scopes))} />
      </Fact>
      <Fact name="Minted">
        <Time date={fromTimestamp(key.createdAt)} />
        {parent === undefined ? (
          key.parentId === "" && ", a root key"
        ) : (
          <>
            {" "}
            by <KeyLink id={parent.id} name={parent.name} />
          </>
        )}
      </Fact>
      <Fact name="Expires">
        {state.expiresAtMs === undefined ? (
          "never"
        ) : (
          <>
            <Time date={new Date(state.expiresAtMs)} />
            {ownExpiry?.getTime() !== state.expiresAtMs && ", with a key above it"}
          </>
        )}
      </Fact>
      <Fact name="Last used">
        {key.lastUsedAt === undefined ? "never" : <Time date={fromTimestamp(key.lastUsedAt)} />}
      </Fact>
      {key.revokedAt !== undefined && (
        <Fact name="Revoked">
          <Time date={fromTimestamp(key.revokedAt)} />
          {key.revokedReason !== "" && (
            <>
              : <bdi>{key.revokedReason}</bdi>
            </>
          )}
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Scopes as granted, and those that are left of them where a key above holds fewer. */
function Scopes({ granted, held }: { readonly granted: readonly string[]; readonly held: readonly string[] }) {
  const isWhole = granted.every((scope) => held.includes(scope));
  return (
    <>
      <ScopeList scopes={granted} />
      {!isWhole && (
        <span className={styles.narrowed}>
          A key above holds fewer. Left now: {held.length === 0 ? "none" : <ScopeList scopes={held} />}
        </span>
      )}
    </>
  );
}

function ScopeList({ scopes }: { readonly scopes: readonly string[] }) {
  return (
    <span className={styles.scopes}>
      {scopes.map((scope) => (
        <code key={scope}>{scope}</code>
      ))}
    </span>
  );
}
