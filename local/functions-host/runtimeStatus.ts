export const runtimeStatuses = [
  'Pending',
  'Running',
  'Suspended',
  'Completed',
  'Failed',
  'Terminated',
] as const;
export type RuntimeStatus = (typeof runtimeStatuses)[number];

/** An instance in one of these has ended. */
export const terminalStatuses: readonly RuntimeStatus[] = ['Completed', 'Failed', 'Terminated'];
