// The time of day for sentences such as `next try in 12 min`: moves on each second while the page is seen.

class Now {
  ms = $state(Date.now());

  constructor() {
    const move = () => document.hidden || (this.ms = Date.now());
    setInterval(move, 1_000);
    document.addEventListener('visibilitychange', move);
  }
}

export const now = new Now();
