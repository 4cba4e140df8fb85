import { EmptyState } from "../../components/empty-state.tsx";
import { Page } from "../../components/page.tsx";

/** Namespaces, for an operator: their spend and state. */
export default function Namespaces() {
  return (
    <Page title="Namespaces">
      <EmptyState title="Nothing here yet." />
    </Page>
  );
}
