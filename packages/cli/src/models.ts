const TIMEOUT_MS = 5_000;

/** A model as `GET /v1/models` lists it. */
interface ServedModel {
  readonly id: string;
  readonly owned_by: string;
}

/** Models that the credential may call; undefined if the node refuses to list them. */
export async function listServedModels(url: string, token: string): Promise<readonly ServedModel[] | undefined> {
  try {
    const response = await fetch(`${url}/v1/models`, {
      headers: { authorization: `Bearer ${token}` },
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body: unknown = await response.json();
    return response.ok && isModelList(body) ? body.data : undefined;
  } catch {
    return undefined;
  }
}

function isModelList(body: unknown): body is { readonly data: readonly ServedModel[] } {
  if (typeof body !== "object" || body === null || !("data" in body) || !Array.isArray(body.data)) return false;
  return body.data.every(
    (model: Partial<ServedModel>) => typeof model.id === "string" && typeof model.owned_by === "string",
  );
}
