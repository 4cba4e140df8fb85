import { Link } from "wouter";
import { EmptyState } from "../components/empty-state.tsx";
import { Page } from "../components/page.tsx";

/** Page of an address that the app does not know. */
export function NotFound() {
  return (
    <Page title="Not found">
      <EmptyState title="There is no such page.">
        <Link href="/">Go to the overview</Link>
      </EmptyState>
    </Page>
  );
}
