import { app } from '@azure/functions';

/** Has a schedule that is none. */
app.timer('never', { schedule: 'sometimes', handler: () => undefined });
