import { DatabaseSync } from 'node:sqlite';

/**
 * Makes this process the only one that works on a task hub: it holds an exclusive transaction on a small
 * database beside it. The operating system frees that with the process, however it ends, so there is nothing
 * to clean up and nothing to wait for. Throws when another process holds it. Answers what gives it back.
 */
export function takeHubLock(file: string): () => void {
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    db.exec('begin exclusive');
  } catch (error) {
    db.close();
    throw new Error(
      `Another Functions host works on the task hub ${file}. Stop it first, or use another state folder.`,
      { cause: error },
    );
  }
  return () => db.close();
}
