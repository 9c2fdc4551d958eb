// Ids sort by creation: a message's id says where in its source's log the request stands that it came by.

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** An iterator for a source's log, newest first, whose next row is that of the message. Undefined if it is no message's id. */
export function logBefore(msgId: string): string | undefined {
  const text = /^msg_([0-9A-Za-z]{27})$/.exec(msgId)?.[1];
  if (!text) return undefined;
  let value = 0n;
  for (const digit of text) value = value * 62n + BigInt(DIGITS.indexOf(digit));
  // Of 160 bits the first 64 are the key, which sorts. The log's ids are of 128 bits.
  let rest = ((value >> 96n) + 1n) << 64n;
  let found = '';
  for (let i = 0; i < 22; i++) {
    found = (DIGITS[Number(rest % 62n)] ?? '0') + found;
    rest /= 62n;
  }
  return `log${found}`;
}
