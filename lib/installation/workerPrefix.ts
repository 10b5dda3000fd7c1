import type { Settings } from './settings.ts';

/** First part of the names of all workers of an installation. */
export const workerPrefix = (settings: Settings): string =>
  `hf-${settings.HOLDFAST_INSTALLATION_ID.slice(0, 16)}`;
