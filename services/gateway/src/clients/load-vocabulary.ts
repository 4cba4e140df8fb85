import { CL100K_TOKEN_SPLIT_REGEX, O200K_TOKEN_SPLIT_REGEX } from "gpt-tokenizer/encodingParams/constants";
import { BytePairs } from "../domain/tokens/byte-pairs.ts";
import type { TokenizerName } from "../domain/request/model-directory.ts";

/** Loads a public tokenizer, in some 150 ms. */
export async function loadVocabulary(name: TokenizerName): Promise<BytePairs> {
  switch (name) {
    case "o200k_base":
      return new BytePairs((await import("gpt-tokenizer/bpeRanks/o200k_base")).default, O200K_TOKEN_SPLIT_REGEX);
    case "cl100k_base":
      return new BytePairs((await import("gpt-tokenizer/bpeRanks/cl100k_base")).default, CL100K_TOKEN_SPLIT_REGEX);
  }
}
