/**
 * RFC 3339 time with its offset, e.g. `2026-05-01 02:00:00 +02:00`.
 *
 * @param timeZone IANA name; undefined: the time zone of the reader
 */
export function formatTime(rfc3339: string, timeZone?: string): string {
  const time = new Date(rfc3339);
  if (timeZone !== undefined) return formatInZone(time, timeZone);
  const date = [time.getFullYear(), time.getMonth() + 1, time.getDate()].map(twoDigits).join("-");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(twoDigits).join(":");
  // Minutes to add to local time to get UTC: the sign is the reverse of what an offset shows.
  const offset = -time.getTimezoneOffset();
  const size = Math.abs(offset);
  return `${date} ${clock} ${offset < 0 ? "-" : "+"}${twoDigits(Math.floor(size / 60))}:${twoDigits(size % 60)}`;
}

function formatInZone(time: Date, timeZone: string): string {
  const format = new Intl.DateTimeFormat("en", {
    timeZone,
    hourCycle: "h23",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "longOffset",
  });
  const parts = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]));
  const { year, month, day, hour, minute, second, timeZoneName = "" } = parts;
  // `GMT+02:00`, and `GMT` alone for UTC.
  const offset = timeZoneName.replace("GMT", "") || "+00:00";
  return `${year}-${month}-${day} ${hour}:${minute}:${second} ${offset}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}
