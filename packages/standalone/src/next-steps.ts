import { relative } from "node:path";
import { CHECKOUT } from "./home.ts";
import type { Addresses } from "./addresses.ts";
import { urlOf } from "./roles.ts";

export interface ReadyNode {
  readonly home: string;
  /** True if the CLI finds the home without ROUTEPLANE_HOME. */
  readonly isDefaultHome: boolean;
  /** Ports of the gateways, that of the first one first. */
  readonly gatewayPorts: readonly number[];
  readonly addresses: Addresses;
  /** True to name the gRPC ports of the services. */
  readonly isVerbose: boolean;
  /** True if the home has a saved key, which `cloud logout` removes. */
  readonly isSignedIn: boolean;
  /** Address of the console that signs a browser in, once and within 60 s; undefined if the node runs no console. */
  readonly signInUrl: string | undefined;
  /** Duration of the start. */
  readonly startMs: number;
  /** Folder from which the commands are shown, where `npx routeplane` works. */
  readonly folder: string;
}

/** Text with addresses and first commands, for a node that is ready. It names the file of a token, never the token. */
export function nextSteps(node: ReadyNode): string {
  const { home, isDefaultHome, gatewayPorts, addresses, signInUrl, folder, startMs, isVerbose } = node;
  const [first = 0, ...others] = gatewayPorts;
  const shownHome = quote(pathFrom(folder, home));
  return [
    "",
    `Routeplane is ready on ${[first, ...others].map(urlOf).join(", ")} (after ${(startMs / 1_000).toFixed(1)} s)`,
    ...(signInUrl === undefined
      ? []
      : ["", `Console: ${signInUrl}`, "         once and within 60 s; `npx routeplane console` opens it again"]),
    "",
    node.isSignedIn
      ? "Try it, in another terminal:"
      : "There is no saved key. Mint one and sign in, in another terminal:",
    ...(folder === CHECKOUT ? [] : [`  cd ${quote(folder)}`]),
    ...(isDefaultHome ? [] : [`  export ROUTEPLANE_HOME=${quote(home)}`]),
    ...(node.isSignedIn ? firstCommands(urlOf(first), shownHome) : SIGN_IN_COMMANDS),
    "",
    ...(isVerbose ? grpcPorts(addresses) : []),
    `Logs: ${shownHome}/log/   Ctrl-C stops the node and keeps its data.`,
    "",
  ].join("\n");
}

function firstCommands(url: string, shownHome: string): readonly string[] {
  return [
    "  npx routeplane cloud status",
    `  curl -s ${url}/v1/chat/completions -H "Authorization: Bearer $(cat ${shownHome}/api-key)" \\`,
    `    -H "Content-Type: application/json" -d '{"model":"echo","messages":[{"role":"user","content":"Hello"}]}'`,
  ];
}

const SIGN_IN_COMMANDS: readonly string[] = [
  '  npx routeplane cloud keys mint --namespace default --name my-key --scope "inference:* keys:* policy:* usage:*"',
  "  npx routeplane cloud login",
];

function grpcPorts({ services: { auth, policy, usage }, grpc }: Addresses): readonly string[] {
  return [
    `gRPC: auth 127.0.0.1:${auth}, policy 127.0.0.1:${policy}, usage 127.0.0.1:${usage}`,
    `      hot methods, at less cost per call: VerifyKey 127.0.0.1:${grpc.auth}, Admit and Settle 127.0.0.1:${grpc.policy}`,
  ];
}

/** `path` relative to `folder` if it is inside, else unchanged. */
function pathFrom(folder: string, path: string): string {
  const relativePath = relative(folder, path);
  return relativePath === "" || relativePath.startsWith("..") ? path : relativePath;
}

/** Quotes a path for a shell, if it has to be quoted. */
function quote(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}
