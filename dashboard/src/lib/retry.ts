// Retry schedules: seconds before each retry, as people write and read them.
import { duration } from './format';

/** Longest wait before one retry, in seconds, and most retries: the server's bounds. */
export const WAIT_MAX_S = 2_592_000;
export const RETRIES_MAX = 50;

/** What the server does where nothing else was said (`delivery.retry_schedule`). */
export const BUILT_IN = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

export const PRESETS: { name: string; seconds: number[] }[] = [
  { name: 'Standard: 9 retries in 3 days', seconds: BUILT_IN },
  { name: 'Quick: 6 retries in an hour', seconds: [5, 30, 120, 300, 900, 2_400] },
  { name: 'Patient: 14 retries in 10 days', seconds: [10, 300, 1_800, 7_200, 21_600, 43_200, ...Array.from({ length: 8 }, () => 97_200)] },
  { name: 'No retries', seconds: [] },
];

const UNITS: Record<string, number> = { '': 1, s: 1, sec: 1, second: 1, m: 60, min: 60, minute: 60, h: 3_600, hr: 3_600, hour: 3_600, d: 86_400, day: 86_400 };

/** `5 s, 5 min, 2 h` in seconds; or what is wrong with it. */
export function parseSchedule(text: string): { seconds: number[] } | { problem: string } {
  const seconds: number[] = [];
  for (const part of text.split(/[,;\n]+/).map((one) => one.trim()).filter(Boolean)) {
    const found = /^(\d+(?:\.\d+)?)\s*([a-z]*?)s?$/i.exec(part);
    const unit = UNITS[(found?.[2] ?? '?').toLowerCase()];
    if (!found || unit === undefined) return { problem: `“${part.slice(0, 40)}” is not a time such as 30 s, 5 min, 2 h or 1 d.` };
    const value = Math.round(Number(found[1]) * unit);
    if (value < 1 || value > WAIT_MAX_S) return { problem: `“${part.slice(0, 40)}” must be between 1 s and 30 d.` };
    seconds.push(value);
  }
  if (seconds.length > RETRIES_MAX) return { problem: `A schedule has at most ${RETRIES_MAX} retries.` };
  return { seconds };
}

/** A wait without loss: `90 s`, `5 min`, `2 h`. */
export function writeWait(seconds: number): string {
  for (const [unit, size] of [['d', 86_400], ['h', 3_600], ['min', 60]] as const) {
    if (seconds >= size && seconds % size === 0) return `${seconds / size} ${unit}`;
  }
  return `${seconds} s`;
}
export const writeSchedule = (seconds: number[]): string => seconds.map(writeWait).join(', ');

/** `9 retries over 3 d 3 h`. */
export function scheduleInWords(seconds: number[]): string {
  if (!seconds.length) return 'One attempt, no retries';
  const total = seconds.reduce((sum, one) => sum + one, 0);
  return `${seconds.length} ${seconds.length === 1 ? 'retry' : 'retries'} over ${duration(total * 1_000)}`;
}
