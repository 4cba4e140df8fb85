/** RFC 3339 time in the time zone of the reader, with its offset, e.g. `2026-05-01 02:00:00 +02:00`. */
export function formatTime(rfc3339: string): string {
  const time = new Date(rfc3339);
  const date = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map(twoDigits).join("-");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":");
  // Minutes to add to local time to get UTC: the sign is the reverse of what an offset shows.
  const offset = -time.getTimezoneOffset();
  const size = Math.abs(offset);
  return `${date} ${clock} ${offset < 0 ? "-" : "+"}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
