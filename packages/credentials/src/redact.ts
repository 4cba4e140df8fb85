const TOKEN_LIKE = /\brp([os]?)_[0-9A-Za-z]+(?:_[0-9A-Za-z]+)*/g;

/** `text` with everything that looks like a token of this product cut down to its kind. */
export function redactTokens(text: string): string {
  return text.replace(TOKEN_LIKE, "rp$1_[redacted]");
}

const SECRET = /rpo?_(?:live|test)_[0-9A-Za-z]{22}_[0-9A-Za-z]{43}|rps_[0-9A-Za-z]{43}/;

/** Whether somewhere in `text` there is a token of this product, whole but for its checksum. */
export function holdsToken(text: string): boolean {
  return SECRET.test(text);
}
