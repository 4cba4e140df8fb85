import { boundSeconds } from "./audio-length.ts";
import { type ImageSize, readImageSize } from "./image-size.ts";
import { type PdfSize, readPdf } from "./pdf.ts";
import type { CancelSignal } from "../ports/cancel-signal.ts";

/** Part of a request that is not text, as the client sent it. */
export type SentMedium =
  | {
      readonly kind: "image";
      /** Image in base64; undefined for one that the upstream fetches. */
      readonly base64: string | undefined;
      /** Level of detail that the client asks for. */
      readonly detail: unknown;
    }
  | { readonly kind: "audio"; readonly base64: string; readonly format: unknown }
  /** A file, or anything of unknown kind: it may be of any length. */
  | { readonly kind: "file"; readonly base64: string | undefined; readonly mediaType: string | undefined };

/** Medium, by what its tokens depend on. */
export type Medium =
  | {
      readonly kind: "image";
      /** Undefined if it is not known. */
      readonly size: ImageSize | undefined;
      readonly detail: unknown;
    }
  | { readonly kind: "audio"; readonly seconds: number }
  | ({ readonly kind: "document" } & PdfSize)
  /** Text in a file: a token is at least one byte. */
  | { readonly kind: "text"; readonly bytes: number }
  /** A file, or anything else, of any length. */
  | { readonly kind: "file" };

/**
 * Measures media. A large document is read in several turns of the event loop.
 *
 * @throws the reason of the signal
 */
export async function measureMedia(sent: readonly SentMedium[], signal: CancelSignal): Promise<readonly Medium[]> {
  const media: Medium[] = [];
  for (const medium of sent) media.push(await measure(medium, signal));
  return media;
}

async function measure(medium: SentMedium, signal: CancelSignal): Promise<Medium> {
  switch (medium.kind) {
    case "image": {
      const { base64, detail } = medium;
      return { kind: "image", size: base64 === undefined ? undefined : readImageSize(base64), detail };
    }
    case "audio":
      return { kind: "audio", seconds: boundSeconds(medium.base64, medium.format) };
    case "file": {
      const { base64, mediaType } = medium;
      if (base64 === undefined) return { kind: "file" };
      if (mediaType === "application/pdf") return { kind: "document", ...(await readPdf(base64, signal)) };
      return mediaType?.startsWith("text/") === true ? { kind: "text", bytes: base64.length } : { kind: "file" };
    }
  }
}
