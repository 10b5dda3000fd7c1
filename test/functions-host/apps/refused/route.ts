import { app } from '@azure/functions';

/** Has a route with a constraint that nobody knows. */
app.http('coloured', { route: 'paint/{x:colour}', handler: () => ({}) });
