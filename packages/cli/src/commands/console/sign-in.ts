import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Context } from "../../context.ts";
import { CliError, ExitCode } from "../../errors.ts";
import { naming } from "../../resolve-name.ts";
import { type Credential, findLogin, loginCredential, operatorCredential } from "../../session.ts";
import { hasBrowser, openInBrowser } from "./browser.ts";

export interface SignInOptions {
  /** Name or id of the namespace; that of the login by default. Empty: the operator view. */
  readonly namespace?: string | undefined;
  /** Path of the page to show, e.g. `/keys`. */
  readonly path: string;
  /** True to print the address rather than open it. */
  readonly print: boolean;
}

interface SignInCode {
  readonly code: string;
  readonly expiresAt: Date;
  readonly consoleUrl: string;
}

/**
 * Opens a page of the console in the browser, signed in by a code that is valid once and for 60 s. Prints the address if there is no
 * browser. @throws CliError
 */
export async function openConsole(context: Context, { namespace, path, print }: SignInOptions): Promise<void> {
  const { code, expiresAt, consoleUrl } = await signInCode(context, namespace);
  if (consoleUrl === "") throw noAddress();
  const query = path === "/" ? "" : `?next=${encodeURIComponent(path)}`;
  const url = `${consoleUrl}/sign-in${query}#code=${code}`;
  const { output } = context;
  if (!print && hasBrowser(context) && (await openInBrowser(url))) {
    output.note(`Opened ${consoleUrl}${path} in your browser.`);
    return;
  }
  output.data({ url, expires_at: expiresAt.toISOString() }, () => url);
  output.note("It signs in one browser, once and within 60 s.");
}

/**
 * Makes a sign-in code with the operator credential, if there is one, because its sessions can switch the namespace; else with the login.
 */
async function signInCode(context: Context, namespace: string | undefined): Promise<SignInCode> {
  const { settings } = context;
  const operator = await operatorCredential(settings).catch((error: unknown) => {
    const isMissing = error instanceof CliError && error.reason === "OPERATOR_REQUIRED";
    if (!isMissing || namespace !== undefined) throw error;
    return undefined;
  });
  if (operator === undefined) return makeCode(context, await loginCredential(settings), "");
  const wanted = namespace ?? (await loginNamespace(context));
  try {
    const code = makeCode(context, operator, wanted);
    return await (namespace === undefined ? code : naming("namespace", namespace, code));
  } catch (error) {
    const login = await findLogin(settings);
    // This operator credential may not act within namespaces.
    const isDenied = ConnectError.from(error).code === Code.PermissionDenied;
    if (!isDenied || namespace !== undefined || login === undefined) throw error;
    return makeCode(context, login, "");
  }
}

/** Id of the namespace of the login; empty without a login, or for a login with an operator credential. */
async function loginNamespace(context: Context): Promise<string> {
  const login = await findLogin(context.settings);
  if (login === undefined) return "";
  const { identity } = await (await context.connect(login)).identity.whoAmI({});
  return identity.case === "key" ? identity.value.namespaceId : "";
}

async function makeCode(context: Context, credential: Credential, namespace: string): Promise<SignInCode> {
  const { sessions } = await context.connect(credential);
  const { code, expiresAt, consoleUrl } = await sessions.createSignInCode({ namespace });
  return { code, consoleUrl, expiresAt: expiresAt === undefined ? new Date(0) : timestampDate(expiresAt) };
}

function noAddress(): CliError {
  const message = "this node does not know the address of its console";
  const hint =
    "Set ROUTEPLANE_CONSOLE_URL at the auth service to the address that people open, e.g. https://console.example.com.";
  return new CliError(ExitCode.failed, "failed_precondition", "CONSOLE_UNKNOWN", message, { hint });
}
