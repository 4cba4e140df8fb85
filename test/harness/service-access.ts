import { addressesOf } from "./addresses.ts";
import type { TestNode } from "./node.ts";

/** Addresses of the services of a node, and a credential for them, as a user's own service gets them. */
export interface ServiceAccess {
  readonly authUrl: string;
  readonly policyUrl: string;
  readonly serviceCredential: string;
}

/** Mints a service credential for all namespaces, and reads where the services are. */
export async function serviceAccessOf(node: Pick<TestNode, "home" | "url" | "operatorKey">): Promise<ServiceAccess> {
  const { auth, policy } = await addressesOf(node);
  const response = await fetch(`${node.url}/routeplane.auth.v1.ServiceCredentialService/MintServiceCredential`, {
    method: "POST",
    headers: { authorization: `Bearer ${await node.operatorKey()}`, "content-type": "application/json" },
    body: JSON.stringify({
      name: `service ${Date.now()}`,
      scopes: ["keys:verify", "policy:admit"],
      allNamespaces: true,
    }),
  });
  const { token } = (await response.json()) as { readonly token: string };
  return { authUrl: `http://${auth}`, policyUrl: `http://${policy}`, serviceCredential: token };
}
