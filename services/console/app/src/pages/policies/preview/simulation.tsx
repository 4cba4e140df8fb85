import { skipToken, useQuery } from "@connectrpc/connect-query";
import { SimulationService } from "@routeplane/contracts/policy";
import { type PolicySpec, toSpecJson } from "@routeplane/policy-spec";
import { toProtoSpec } from "@routeplane/policy-spec/proto";
import { useState } from "react";
import { Button } from "../../../components/button.tsx";
import { ErrorNotice } from "../../../components/error-notice.tsx";
import { Field } from "../../../components/field.tsx";
import { Notice } from "../../../components/notice.tsx";
import type { ChosenPrincipal } from "../../../components/principal-select.tsx";
import { Skeleton } from "../../../components/skeleton.tsx";
import styles from "./preview.module.css";
import { SimulationResult } from "./simulation-result.tsx";

/** Maximum range of a simulation, in days. */
const MAX_DAYS = 90;

interface SimulationProps {
  readonly principal: ChosenPrincipal;
  readonly spec: PolicySpec | undefined;
}

/** Parameters of a simulation: the draft at the time of the request. */
interface Asked {
  readonly principal: ChosenPrincipal;
  readonly spec: PolicySpec;
  readonly days: number;
}

/** Simulates the draft on past requests, at the click of a button, because it reads up to 100,000 requests. */
export function Simulation({ principal, spec }: SimulationProps) {
  const [daysText, setDaysText] = useState("7");
  const [asked, setAsked] = useState<Asked>();
  const input = asked && {
    subject: { case: "spec" as const, value: toProtoSpec(asked.spec) },
    ...asked.principal,
    days: asked.days,
  };
  const { data, error, isFetching, refetch } = useQuery(
    SimulationService.method.simulatePolicy,
    input ?? skipToken,
    // It runs only on demand, not again when a tab is focused.
    { staleTime: Infinity, refetchOnWindowFocus: false, refetchOnReconnect: false },
  );
  const days = /^\d{1,2}$/.test(daysText.trim()) ? Number(daysText) : 0;
  const daysFault = days < 1 || days > MAX_DAYS ? `Must be a whole number from 1 to ${MAX_DAYS}.` : undefined;
  const isOutdated = asked !== undefined && spec !== undefined && keyOf(asked) !== keyOf({ principal, spec, days });
  return (
    <>
      <p className={styles.hint}>
        Evaluates the draft on past requests, as if it had been the only policy bound to the chosen principal, with
        unused counters.
      </p>
      <div className={styles.row}>
        <Field label="Days back" error={daysFault}>
          <input
            type="number"
            min={1}
            max={MAX_DAYS}
            value={daysText}
            onChange={({ target }) => setDaysText(target.value)}
          />
        </Field>
        <Button
          isBusy={isFetching}
          disabled={spec === undefined || daysFault !== undefined}
          onClick={() => {
            if (spec === undefined) return;
            const next = { principal, spec, days };
            if (asked !== undefined && keyOf(asked) === keyOf(next)) void refetch();
            else setAsked(next);
          }}
        >
          Simulate
        </Button>
      </div>
      {spec === undefined && <p className={styles.hint}>The draft has faults. Correct them to simulate it.</p>}
      <div aria-live="polite" className={styles.preview}>
        {isOutdated && data !== undefined && (
          <Notice kind="info">The draft or the choice has changed since this simulation: simulate again.</Notice>
        )}
        {error !== null && <ErrorNotice error={error} what="The draft was not simulated." onRetry={refetch} />}
        {error === null && asked !== undefined && data === undefined && <Skeleton lines={4} />}
        {error === null && data !== undefined && <SimulationResult simulation={data} />}
      </div>
    </>
  );
}

function keyOf({ principal, spec, days }: Asked): string {
  return JSON.stringify([principal, spec.kind, toSpecJson(spec), days]);
}
