import type { PolicySpec } from "@routeplane/policy-spec";
import { useState } from "react";
import { NeedsScope } from "../../../components/needs-scope.tsx";
import { type ChosenPrincipal, isWhole, PrincipalSelect } from "../../../components/principal-select.tsx";
import { Section } from "../../../components/section.tsx";
import { EffectivePreview } from "./effective-preview.tsx";
import styles from "./preview.module.css";
import { Simulation } from "./simulation.tsx";

interface PreviewProps {
  /** Undefined while the draft has faults. */
  readonly spec: PolicySpec | undefined;
  /** Policy that is edited; undefined for a new one. */
  readonly policyId: string | undefined;
  /** Initial principal of the preview. */
  readonly principal: ChosenPrincipal;
}

/** Preview of a draft before it is saved: all rules that would apply to a principal, and the past requests that it would have refused. */
export function Preview({ spec, policyId, principal }: PreviewProps) {
  const [chosen, setChosen] = useState<ChosenPrincipal>();
  const shown = chosen ?? principal;
  return (
    <>
      <Section title="Effective policy with the draft">
        <div className={styles.preview}>
          <div className={styles.row}>
            <PrincipalSelect label="Preview for" value={shown} onChange={setChosen} />
          </div>
          <NeedsScope scope="policy:read">
            {isWhole(shown) && <EffectivePreview principal={shown} spec={spec} policyId={policyId} />}
          </NeedsScope>
        </div>
      </Section>
      <Section title="Requests that it would have refused">
        <div className={styles.preview}>
          <NeedsScope scope="policy:read">
            <NeedsScope scope="usage:read">
              <Simulation principal={shown} spec={spec} />
            </NeedsScope>
          </NeedsScope>
        </div>
      </Section>
    </>
  );
}
