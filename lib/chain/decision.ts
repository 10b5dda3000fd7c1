/** A decision about one thing, with the reason that a person is shown. */
export interface Decision<T> {
  readonly item: T;
  readonly keep: boolean;
  readonly why: string;
}

/** `kept: daily until 2026-05-01, monthly until 2027-04-17`. */
export const describeDecision = ({ keep, why }: Pick<Decision<unknown>, 'keep' | 'why'>): string =>
  `${keep ? 'kept' : 'goes'}: ${why}`;
