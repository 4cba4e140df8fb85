import { TransportProvider } from "@connectrpc/connect-query";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch } from "wouter";
import { Layout } from "./components/layout.tsx";
import { NotFound } from "./pages/not-found.tsx";
import { Skeleton } from "./components/skeleton.tsx";
import { createQueryClient } from "./rpc/query-client.ts";
import { transport } from "./rpc/transport.ts";
import { SessionProvider } from "./session/session-provider.tsx";
import { useSession } from "./session/use-session.ts";

const Overview = lazy(() => import("./pages/overview/overview.tsx"));
const Requests = lazy(() => import("./pages/requests/requests.tsx"));
const Keys = lazy(() => import("./pages/keys/keys.tsx"));
const Policies = lazy(() => import("./pages/policies/policies.tsx"));
const Audit = lazy(() => import("./pages/audit/audit.tsx"));
const QuickStart = lazy(() => import("./pages/quick-start/quick-start.tsx"));
const Namespaces = lazy(() => import("./pages/namespaces/namespaces.tsx"));

const queryClient = createQueryClient();

/** The app: providers from the outside in, then the routes. Each page is a chunk of its own, loaded when it is opened first. */
export function App() {
  return (
    <TransportProvider transport={transport}>
      <QueryClientProvider client={queryClient}>
        <SessionProvider>
          <Layout>
            <Suspense fallback={<Skeleton lines={6} />}>
              <Pages />
            </Suspense>
          </Layout>
        </SessionProvider>
      </QueryClientProvider>
    </TransportProvider>
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
