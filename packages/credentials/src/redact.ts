const TOKEN_LIKE = /\brp([os]?)_[0-9A-Za-z]+(?:_[0-9A-Za-z]+)*/g;

/** `text` with everything that looks like a token of this product cut down to its kind. */
export function redactTokens(text: string): string {
  return text.replace(TOKEN_LIKE, "rp$1_[redacted]");
}
