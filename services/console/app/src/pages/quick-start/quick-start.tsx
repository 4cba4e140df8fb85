import { useQuery } from "@connectrpc/connect-query";
import { UsageDimension, UsageService } from "@routeplane/contracts/usage";
import { useId } from "react";
import { Link } from "wouter";
import { Field } from "../../components/field.tsx";
import { Page } from "../../components/page.tsx";
import { Section } from "../../components/section.tsx";
import { TOKEN_VARIABLE } from "../../components/snippets/snippets.ts";
import { Snippets } from "../../components/snippets/snippets.tsx";
import { useFilters } from "../../format/use-filters.ts";
import { holdsScope, useSession } from "../../session/use-session.ts";
import styles from "./quick-start.module.css";

/** Maximum length of the name of a suggested model, in characters: clients can send any text as a model. */
const MAX_SUGGESTED_CHARS = 100;

/** Model that a local node always has; it answers without a provider. */
const OFFLINE_MODEL = "echo";

/** Quick start page: how to call this node with common clients. It shows no token. */
export default function QuickStart() {
  const session = useSession();
  const [filters, change] = useFilters(["model"]);
  const usedModels = useUsedModels();
  const suggestions = useId();
  const model = filters.model.trim() || (usedModels[0] ?? OFFLINE_MODEL);
  return (
    <Page title="Quick start">
      <Section title="1. Get a key">
        <p className={styles.text}>
          Every program gets a key of its own, with the scope <code>inference:invoke</code>. Its token is shown once:
          put it into the variable <code>{TOKEN_VARIABLE}</code>.
        </p>
        {holdsScope(session, "keys:write") ? (
          <Link href="/keys?mint=1" className={styles.action}>
            Mint a key
          </Link>
        ) : (
          <p className={styles.text}>
            Your session does not hold the scope <code>keys:write</code>: ask somebody whose session does for a key.
          </p>
        )}
      </Section>
      <Section title="2. Call a model">
        <div className={styles.model}>
          <Field
            label="Model"
            hint={
              <>
                <code>GET {session.gatewayUrl}/v1/models</code> lists the models that a key may call.
              </>
            }
          >
            <input
              value={filters.model}
              placeholder={model}
              list={suggestions}
              maxLength={256}
              spellCheck={false}
              onChange={({ target }) => change({ model: target.value })}
            />
          </Field>
          <datalist id={suggestions}>
            {usedModels.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </datalist>
        </div>
        <Snippets gatewayUrl={session.gatewayUrl} model={model} />
      </Section>
      <Section title="3. See the request">
        <p className={styles.text}>
          Each call is in <Link href="/requests">the request log</Link> within seconds, with its cost.{" "}
          <Link href="/policies">Policies</Link> limit what keys may spend and call.
        </p>
      </Section>
    </Page>
  );
}

/** Models that were called in the last 30 days, the most expensive first; empty without the scope `usage:read`. */
function useUsedModels(): readonly string[] {
  const enabled = holdsScope(useSession(), "usage:read");
  const { data } = useQuery(UsageService.method.getUsage, { groupBy: [UsageDimension.MODEL] }, { enabled });
  const served = data?.groups.filter(({ requestCount }) => requestCount > 0n) ?? [];
  return served.map(({ model }) => model).filter((model) => model !== "" && model.length <= MAX_SUGGESTED_CHARS);
}
