/** Registers nothing. */
export const nothing = 'registered';
