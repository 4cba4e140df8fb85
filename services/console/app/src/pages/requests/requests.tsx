import { EmptyState } from "../../components/empty-state.tsx";
import { Page } from "../../components/page.tsx";

/** Requests: the log, filtered and live, and the receipt of one. */
export default function Requests() {
  return (
    <Page title="Requests">
      <EmptyState title="Nothing here yet." />
    </Page>
  );
}
