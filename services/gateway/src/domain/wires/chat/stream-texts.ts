import { JsonRedactionWriter, MatchRecorder, TextFilter } from "@routeplane/guardrails";
import type { JsonObject } from "../../wire/json.ts";
import type { JsonText } from "../../wire/json-texts.ts";
import { isArguments, isPartOfMessage, isReasoningPiece } from "./chat-content.ts";
import type { GuardPattern } from "../../guardrails/guard.ts";
import type { ResponseGuard } from "../../guardrails/response-guard.ts";
import { OpenTexts } from "./open-texts.ts";
import { ownSteps, type Path, type TextPlace } from "./stream-chunk.ts";

/** Text of the answer that arrives in pieces, e.g. the content of a choice, or the arguments of its second tool call. */
export interface StreamText extends TextPlace {
  /** Path of the last piece of the text. */
  path: Path;
  readonly filter: TextFilter<GuardPattern> | undefined;
  readonly shadowMatches: MatchRecorder<GuardPattern> | undefined;
  hasEnded: boolean;
}

/** Text of one chunk. */
export interface ChunkText extends JsonText {
  /** Path of a string; empty for other kinds. */
  readonly steps: Path;
}

/** Text that a piece belongs to. */
interface FoundText {
  readonly text: StreamText;
  /** Text that ends to make room for it. */
  readonly ended: StreamText | undefined;
}

/** Texts of one streamed answer, and the state of its choices. */
export class StreamTexts {
  readonly #responseGuard: ResponseGuard;
  readonly #choices: number;
  readonly #texts = new OpenTexts<StreamText>();
  /** Indices of choices, at most as many as were requested. */
  readonly #choiceIndices = new Set<number>();
  /** Indices of choices that are finished. */
  readonly #finished = new Set<number>();

  /** @param choices number of requested choices */
  constructor(responseGuard: ResponseGuard, choices: number) {
    this.#responseGuard = responseGuard;
    this.#choices = choices;
  }

  /** All texts that are open, and of finished choices. */
  get all(): readonly StreamText[] {
    return this.#texts.all;
  }

  /** Finds or opens the text that a piece belongs to; undefined if it is to be judged with pieces that are no longer known. */
  textOf(chunk: JsonObject, piece: ChunkText): FoundText | undefined {
    const [, choice = 0, ...path] = ownSteps(chunk, piece.steps);
    // Clients append the parts of a content in order of arrival, whatever their positions in the lists.
    const textPath = isPartOfMessage(piece) ? [path[0], "content"] : isReasoningPiece(piece) ? [piece.place] : path;
    const key = JSON.stringify([choice, textPath]);
    const known = this.#texts.find(key);
    if (known !== undefined && !(known.hasEnded && known.filter === undefined)) {
      known.path = path;
      return { text: known, ended: undefined };
    }
    if (!this.#texts.mayBegin(key)) return undefined;
    const { rules, shadowRules, work, shadowWork } = this.#responseGuard;
    const text = {
      choice: Number(choice),
      path,
      filter: rules && new TextFilter(rules, work, isArguments(piece) ? new JsonRedactionWriter(work) : undefined),
      shadowMatches: shadowRules && new MatchRecorder(shadowRules, shadowWork),
      hasEnded: false,
    };
    return { text, ended: this.#texts.begin(key, text) };
  }

  /** False for a finished choice, and for one beyond the requested number: some clients read the first choice of every chunk. */
  isOpen(choice: number): boolean {
    if (this.#choiceIndices.size < this.#choices) this.#choiceIndices.add(choice);
    return this.#choiceIndices.has(choice) && !this.#finished.has(choice);
  }

  /** Marks choices as finished. @returns their texts */
  finish(choices: ReadonlySet<number>): readonly StreamText[] {
    for (const choice of choices) this.#finished.add(choice);
    return this.all.filter(({ choice }) => choices.has(choice));
  }
}
