/**
 * The WORM blob service: what Azurite cannot do. Version-level immutability as Azure documents it; the status and code of the
 * refusals are Azure's (`BlobImmutableDueToPolicy`), but for the shortening of a policy, whose code is not documented.
 */
export { WormBlobService, type WormFault, type WormOptions } from './server.ts';
