import { app } from '@azure/functions';

/** Registers a function, and then fails to load. */
app.http('hello', { handler: () => ({}) });
throw new Error('the setting FOO is missing');
