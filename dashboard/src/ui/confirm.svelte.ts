// Asks before something is done that cannot be undone, and says first what will happen.

export interface Question {
  title: string;
  /** What will happen, in whole sentences. */
  text: string;
  /** The button, such as `Delete endpoint`. */
  action: string;
  danger?: boolean;
  /** What has to be typed before the button works: for what hurts most. */
  typed?: string;
}

class Confirm {
  question = $state<Question | undefined>();
  private answer: ((yes: boolean) => void) | undefined;

  /** Whether the reader agreed. */
  ask(question: Question): Promise<boolean> {
    this.answer?.(false);
    this.question = question;
    return new Promise((answer) => (this.answer = answer));
  }

  reply(yes: boolean) {
    this.answer?.(yes);
    this.answer = this.question = undefined;
  }
}

export const confirm = new Confirm();
