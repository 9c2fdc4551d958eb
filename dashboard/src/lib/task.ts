// What the server's tasks are called.
const NAMES: Record<string, string> = {
  'endpoint.recover': 'Sending failed messages again',
  'endpoint.replay': 'Sending missing messages',
  'endpoint.bulk-replay': 'Sending messages again',
  'endpoint.cancel': 'Cancelling what waits',
  'application.stats': 'Counting messages of applications',
  'sdk.generate': 'Writing the document of event types',
  'event-type.aggregate': 'Counting messages of event types',
};

/** In words, what a task does. */
export const taskName = (kind: string): string => NAMES[kind] ?? kind;

/** The badge of how a task stands. */
export function taskState(status: string): { tone: 'good' | 'bad' | 'info'; word: string } {
  if (status === 'finished') return { tone: 'good', word: 'Finished' };
  return status === 'failed' ? { tone: 'bad', word: 'Failed' } : { tone: 'info', word: 'Running' };
}
