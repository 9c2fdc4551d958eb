// The time of day for the providers' libraries, which ask the machine: whatever the question says it is.
// Imported before any of them.

const Machine = Date;
let nowMs = 0;

globalThis.Date = class extends Machine {
  constructor(...given) {
    super(...(given.length === 0 ? [nowMs] : given));
  }

  static now() {
    return nowMs;
  }
};

export function setNow(ms) {
  nowMs = ms;
}
