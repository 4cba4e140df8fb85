import { EmptyState } from "../../components/empty-state.tsx";
import { Page } from "../../components/page.tsx";

/** Quick start: how to call this node with clients that people have. */
export default function QuickStart() {
  return (
    <Page title="Quick start">
      <EmptyState title="Nothing here yet." />
    </Page>
  );
}
