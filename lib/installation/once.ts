export interface Once<T> {
  (): Promise<T>;
  /** The next call makes it anew. */
  readonly forget: () => void;
}

/** The first success is kept; a failure is not, so that the next caller tries again. */
export function once<T>(make: () => Promise<T>): Once<T> {
  let made: Promise<T> | undefined;
  const get = (): Promise<T> => {
    const one = (made ??= make().catch((error: unknown) => {
      if (made === one) made = undefined;
      throw error;
    }));
    return one;
  };
  return Object.assign(get, {
    forget: () => {
      made = undefined;
    },
  });
}
