import { effectiveScopes } from "@routeplane/credentials/scopes";
import { Link } from "wouter";
import { CopyableId } from "../../components/copyable-id.tsx";
import { Facts } from "../../components/facts.tsx";
import { KeyLink } from "../../components/key-link.tsx";
import { Time } from "../../components/time.tsx";
import { fromTimestamp } from "../../format/time.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import styles from "./key-details.module.css";
import { KeyStateBadge } from "./key-state-badge.tsx";
import type { KeyBranch } from "./key-tree.ts";

/** Facts about a key. Its token is not among them, because it is shown only once. */
export function KeyDetails({ branch: { key, lineage, state } }: { readonly branch: KeyBranch }) {
  const parent = lineage.at(-2);
  const ownExpiry = fromTimestamp(key.expiresAt);
  return (
    <Facts
      facts={Object.entries({
        State: (
          <>
            <KeyStateBadge state={state} />
            {state.ancestor !== undefined && (
              <>
                {" "}
                <KeyLink id={state.ancestor.id} name={state.ancestor.name} /> above it is {state.kind}, and so is this
                key.
              </>
            )}
          </>
        ),
        Id: <CopyableId id={key.id} />,
        "Token starts with":
          key.prefix === "" ? "none: only sessions at the console act as it" : <code>{key.prefix}</code>,
        Scopes: <Scopes granted={key.scopes} held={effectiveScopes(lineage.map(({ scopes }) => scopes))} />,
        Minted: (
          <>
            <Time date={fromTimestamp(key.createdAt)} />
            {parent === undefined ? (
              key.parentId === "" && ", a root key"
            ) : (
              <>
                {" "}
                by <KeyLink id={parent.id} name={parent.name} />
              </>
            )}
          </>
        ),
        Expires:
          state.expiresAtMs === undefined ? (
            "never"
          ) : (
            <>
              <Time date={new Date(state.expiresAtMs)} />
              {ownExpiry?.getTime() !== state.expiresAtMs && ", with a key above it"}
            </>
          ),
        "Last used": key.lastUsedAt === undefined ? "never" : <Time date={fromTimestamp(key.lastUsedAt)} />,
        History: <History keyId={key.id} />,
        Revoked: key.revokedAt && (
          <>
            <Time date={fromTimestamp(key.revokedAt)} />
            {key.revokedReason !== "" && (
              <>
                : <bdi>{key.revokedReason}</bdi>
              </>
            )}
          </>
        ),
      })}
    />
  );
}

/** Scopes as granted, and the scopes in effect if a key above holds fewer. */
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

/** Links to the requests of the key, the changes of it, and the changes by it. */
function History({ keyId }: { readonly keyId: string }) {
  const session = useSession();
  const links = [
    ...(holdsScope(session, "usage:read") ? [[`/requests?key=${keyId}`, "Requests"] as const] : []),
    ...(holdsScope(session, "audit:read")
      ? ([
          [`/audit?target=${keyId}`, "Changes of this key"],
          [`/audit?actor=${keyId}`, "Changes by this key"],
        ] as const)
      : []),
  ];
  if (links.length === 0) return <>–</>;
  return (
    <span className={styles.links}>
      {links.map(([href, title]) => (
        <Link key={href} href={href}>
          {title}
        </Link>
      ))}
    </span>
  );
}
