import { app } from '@azure/functions';

/** Asks for HTTP streaming. */
app.setup({ enableHttpStream: true });
app.http('hello', { handler: () => ({}) });
