/** Tag of everything that an installation makes in Azure; its value is the installation's id. */
export const OWNER_TAG = 'holdfast-owner';
