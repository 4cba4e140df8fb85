import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestNode } from "./node.ts";

/** Addresses of the services of a node, and a credential for them, as a service of one's own is given them. */
export interface ServiceAccess {
  readonly authUrl: string;
  readonly policyUrl: string;
  readonly serviceCredential: string;
}

export async function serviceAccessOf({ home }: Pick<TestNode, "home">): Promise<ServiceAccess> {
  const read = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(home, file), "utf8"));
  const { auth, policy } = (await read("run/addresses.json")) as { readonly auth: string; readonly policy: string };
  const { serviceTokens } = (await read("secrets.json")) as { readonly serviceTokens: { readonly gateway: string } };
  return {
    authUrl: `http://${auth}`,
    policyUrl: `http://${policy}`,
    serviceCredential: serviceTokens.gateway,
  };
}
