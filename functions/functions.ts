/** Every function of the app. */
import './archives.ts';
import './backups.ts';
import './durable.ts';
import './machines.ts';
import './maintenance.ts';
import './policies.ts';
import './repository.ts';
import './restorePoints.ts';
import './restores.ts';
import './schedule.ts';
import './sessions.ts';
import './sweep.ts';
import './workers.ts';
