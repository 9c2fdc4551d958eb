// A crontab schedule in words. What has no plain words is left as it is written.

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const months = ['', 'January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const named: Record<string, string> = { '@yearly': '0 0 1 1 *', '@annually': '0 0 1 1 *', '@monthly': '0 0 1 * *', '@weekly': '0 0 * * 0', '@daily': '0 0 * * *', '@midnight': '0 0 * * *', '@hourly': '0 * * * *' };

const isNumber = (text: string) => /^\d+$/.test(text);
const two = (text: string) => text.padStart(2, '0');

function name(text: string, names: string[]): string | undefined {
  const found = isNumber(text) ? names[Number(text)] : names.find((one) => one && one.slice(0, 3).toLowerCase() === text.toLowerCase());
  return found || undefined;
}
function many(field: string, names: string[]): string | undefined {
  const parts = field.split(',').map((part) => {
    const [from = '', to] = part.split('-');
    const first = name(from, names);
    if (to === undefined) return first;
    const last = name(to, names);
    return first && last ? `${first} to ${last}` : undefined;
  });
  return parts.every(Boolean) ? parts.join(', ') : undefined;
}

/** `At 02:30, Monday to Friday`; undefined where the schedule has no plain words. */
export function scheduleInWords(schedule: string): string | undefined {
  const [minute = '', hour = '', day = '', month = '', weekday = '', ...rest] = (named[schedule.trim()] ?? schedule.trim()).split(/\s+/);
  if (rest.length || !weekday) return undefined;
  const every = (field: string) => /^\*\/(\d+)$/.exec(field)?.[1];
  let when: string | undefined;
  if (minute === '*' && hour === '*') when = 'Every minute';
  else if (every(minute) && hour === '*') when = `Every ${every(minute)} minutes`;
  else if (isNumber(minute) && hour === '*') when = minute === '0' ? 'Every hour, on the hour' : `Every hour, at minute ${minute}`;
  else if (isNumber(minute) && every(hour)) when = `Every ${every(hour)} hours, at minute ${minute}`;
  else if (isNumber(minute) && /^\d+(,\d+)*$/.test(hour)) when = `At ${hour.split(',').map((one) => `${two(one)}:${two(minute)}`).join(', ')}`;
  if (!when) return undefined;
  if (day !== '*' && weekday !== '*') return undefined;
  if (day !== '*') {
    if (!/^\d+(,\d+)*$/.test(day)) return undefined;
    when += `, on day ${day.replaceAll(',', ', ')} of the month`;
  } else if (weekday !== '*') {
    const on = many(weekday, days);
    if (!on) return undefined;
    when += `, ${on}`;
  } else if (isNumber(hour)) when += ', every day';
  if (month !== '*') {
    const within = many(month, months);
    if (!within) return undefined;
    when += `, in ${within}`;
  }
  return when;
}
