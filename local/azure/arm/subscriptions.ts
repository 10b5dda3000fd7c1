/** Subscriptions and their regions: reading only. */

import type { ArmApp } from './app.ts';
import type { ResourceView } from './ids.ts';
import type { SubscriptionRecord } from './subscriptionRecords.ts';

function view(record: SubscriptionRecord): ResourceView {
  return {
    id: `/subscriptions/${record.subscriptionId}`,
    subscriptionId: record.subscriptionId,
    tenantId: record.tenantId,
    displayName: record.displayName,
    state: 'Enabled',
    authorizationSource: 'RoleBased',
    subscriptionPolicies: {
      locationPlacementId: 'Public_2014-09-01',
      quotaId: 'PayAsYouGo_2014-09-01',
      spendingLimit: 'Off',
    },
  };
}

export function subscriptionRoutes(app: ArmApp): void {
  const { subscriptions, roles } = app.core;
  app.route('GET', '/subscriptions', {}, (request) => ({
    status: 200,
    body: {
      value: subscriptions
        .values()
        .map(view)
        .filter((item) => roles.hasFootIn(request.caller.objectId, item.id)),
    },
  }));
  app.route(
    'GET',
    '/subscriptions/{s}',
    { action: 'Microsoft.Resources/subscriptions/read', list: true },
    (request) => ({
      status: 200,
      body: view(subscriptions.require(request.params.s as string)),
    }),
  );
  app.route(
    'GET',
    '/subscriptions/{s}/locations',
    { action: 'Microsoft.Resources/subscriptions/read', list: true },
    (request) => ({
      status: 200,
      body: {
        value: subscriptions.require(request.params.s as string).locations.map((name) => ({
          id: `/subscriptions/${request.params.s}/locations/${name}`,
          name,
          type: 'Region',
          displayName: name,
          regionalDisplayName: name,
        })),
      },
    }),
  );
}
