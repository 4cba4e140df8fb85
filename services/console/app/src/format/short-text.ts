/** Text truncated to a number of characters, `…` included: names and models come from clients, and may be very long. */
export function shortText(text: string, max = 40): string {
  const characters = Array.from(text.slice(0, 2 * max + 2));
  return characters.length <= max ? text : `${characters.slice(0, max - 1).join("")}…`;
}
