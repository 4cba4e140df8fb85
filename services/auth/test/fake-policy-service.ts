import { createRouterTransport, type HandlerContext } from "@connectrpc/connect";
import { type BindMintedLimitsRequest, PolicyService } from "@routeplane/contracts/policy";
import { newId } from "@routeplane/domain";

export type FakePolicyService = ReturnType<typeof createFakePolicyService>;

/** Fake of the policy service, behind its contract: binds the limits of every mint, unless a test lets it do something else. */
export function createFakePolicyService() {
  const calls: { readonly request: BindMintedLimitsRequest; readonly authorization: string | null }[] = [];
  const behaviour: { meanwhile: (request: BindMintedLimitsRequest) => Promise<void> } = { meanwhile: async () => {} };
  const transport = createRouterTransport(({ service }) => {
    service(PolicyService, {
      async bindMintedLimits(request: BindMintedLimitsRequest, { requestHeader }: HandlerContext) {
        calls.push({ request, authorization: requestHeader.get("authorization") });
        await behaviour.meanwhile(request);
        return { policyId: newId("pol") };
      },
    });
  });
  return {
    transport,
    /** Calls so far, oldest first. */
    calls,
    /** Runs `work` during each call until the returned function is called; an error that it throws is the response. */
    during(work: (request: BindMintedLimitsRequest) => Promise<void>): () => void {
      behaviour.meanwhile = work;
      return () => (behaviour.meanwhile = async () => {});
    },
  };
}
