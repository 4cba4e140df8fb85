import { TransportProvider } from "@connectrpc/connect-query";
import { QueryClientProvider } from "@tanstack/react-query";
import { Redirect, Route, Switch, useLocation } from "wouter";
import { Layout } from "./components/layout.tsx";
import { FaultBoundary } from "./components/section.tsx";
import { lazyPage } from "./pages/lazy-page.tsx";
import { NotFound } from "./pages/not-found.tsx";
import Overview from "./pages/overview/overview.tsx";
import { prefetchOverview } from "./pages/overview/prefetch-overview.ts";
import { createQueryClient } from "./rpc/query-client.ts";
import { transport } from "./rpc/transport.ts";
import { SessionProvider } from "./session/session-provider.tsx";
import type { Session } from "./session/session.ts";
import { holdsScope, useSession } from "./session/use-session.ts";

const Requests = lazyPage(() => import("./pages/requests/requests.tsx"));
const Keys = lazyPage(() => import("./pages/keys/keys.tsx"));
const Policies = lazyPage(() => import("./pages/policies/policies.tsx"));
const Audit = lazyPage(() => import("./pages/audit/audit.tsx"));
const QuickStart = lazyPage(() => import("./pages/quick-start/quick-start.tsx"));
const Namespaces = lazyPage(() => import("./pages/namespaces/namespaces.tsx"));

const queryClient = createQueryClient();

function readAhead(session: Session): void {
  const isOverview = session.kind === "namespace" && location.pathname === "/";
  if (isOverview && holdsScope(session, "usage:read")) prefetchOverview(queryClient, transport, location.search);
}

/**
 * The app: providers from the outside in, then the routes. The overview, where most people begin, is part of the first script; every other
 * page is a separate chunk, loaded when the page is first opened.
 */
export function App({ signInCode }: { readonly signInCode: string | undefined }) {
  return (
    <TransportProvider transport={transport}>
      <QueryClientProvider client={queryClient}>
        <SessionProvider signInCode={signInCode} onSession={readAhead}>
          <Layout>
            <Content />
          </Layout>
        </SessionProvider>
      </QueryClientProvider>
    </TransportProvider>
  );
}

/** Page of the address. If it cannot be loaded or fails as a whole, the frame stays, with its links to other pages. */
function Content() {
  const [location] = useLocation();
  return (
    <FaultBoundary key={location.split("/")[1]}>
      <Pages />
    </FaultBoundary>
  );
}

function Pages() {
  const { kind } = useSession();
  if (kind === "operator") {
    return (
      <Switch>
        <Route path="/namespaces/:id?" component={Namespaces} />
        <Route path="/audit/:id?" component={Audit} />
        <Route>
          <Redirect to="/namespaces" replace />
        </Route>
      </Switch>
    );
  }
  return (
    <Switch>
      <Route path="/" component={Overview} />
      <Route path="/requests/:id?" component={Requests} />
      <Route path="/keys/:id?" component={Keys} />
      <Route path="/policies/:id?" component={Policies} />
      <Route path="/audit/:id?" component={Audit} />
      <Route path="/quick-start" component={QuickStart} />
      <Route component={NotFound} />
    </Switch>
  );
}
