import { EmptyState } from "../../components/empty-state.tsx";
import { Page } from "../../components/page.tsx";

/** Audit: who changed what, from and to. */
export default function Audit() {
  return (
    <Page title="Audit">
      <EmptyState title="Nothing here yet." />
    </Page>
  );
}
