// A child for the tests: ready at once; `ORDER` is a file in which it says when it ends.
import { appendFileSync } from 'node:fs';

const say = (text: string): void => {
  if (process.env.ORDER) appendFileSync(process.env.ORDER, `${process.env.NAME} ${text}\n`);
};
process.on('SIGTERM', () => {
  if (process.env.DEAF) return say('deaf');
  say('stopped');
  process.exit(0);
});
process.stdin.once('close', () => {
  say('left alone');
  if (!process.env.STAYS) process.exit(0);
});
process.stdin.resume();
setInterval(() => {}, 60_000);
console.error(`started ${process.env.NAME}`);
console.log(
  JSON.stringify({ ready: true, name: process.env.NAME, secret: process.env.NOT_HANDED_ON ?? null }),
);
