/** Refusal of a request that the upstream's wire cannot carry. Its message completes a sentence about the field: "is not …". */
export class Untranslatable extends Error {
  override readonly name = "Untranslatable";
  /** Path in the client's body, such as `messages[2].content[0]`. */
  readonly param: string;

  constructor(param: string, message: string) {
    super(message);
    this.param = param;
  }
}

/** Message for a member that the upstream's wire cannot express. */
export const NOT_CARRIED = "is not supported by the upstream of this model";
