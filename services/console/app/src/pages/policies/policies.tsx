import { EmptyState } from "../../components/empty-state.tsx";
import { Page } from "../../components/page.tsx";

/** Policies: what applies to whom, and what a change would do. */
export default function Policies() {
  return (
    <Page title="Policies">
      <EmptyState title="Nothing here yet." />
    </Page>
  );
}
