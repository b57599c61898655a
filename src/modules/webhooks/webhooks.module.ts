import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { operatorPolicy } from '../../common/outbound/callback-url.js';
import { OutboundClient } from '../../common/outbound/outbound-client.js';
import { DeliveriesStore } from './deliveries.store.js';
import { DeliveryOutcomesStore } from './delivery-outcomes.store.js';
import { DeliveryClaimsStore } from './delivery-claims.store.js';
import { DeliveryQueuesStore } from './delivery-queues.store.js';
import { EndpointHeaders } from './endpoint-headers.js';
import { DueSearch } from './due-search.js';
import { EndpointShutdown } from './endpoint-shutdown.js';
import { ManualRetriesStore } from './manual-retries.store.js';
import { RetryAllowance } from './retry-allowance.js';
import { CONNECTIONS_AN_ORIGIN } from './receiver-gate.js';
import { SigningSecrets } from './signing-secrets.js';
import { WebhookDeliveriesController } from './webhook-deliveries.controller.js';
import { WebhookDeliveriesService } from './webhook-deliveries.service.js';
import { WebhookEndpointsController } from './webhook-endpoints.controller.js';
import { WebhookEndpointsService } from './webhook-endpoints.service.js';
import { WebhookEndpointsStore } from './webhook-endpoints.store.js';
import { WebhookSecretController } from './webhook-secret.controller.js';
import { WebhookSecretService } from './webhook-secret.service.js';
import { WebhookSecretsStore } from './webhook-secrets.store.js';
import { WebhookSender } from './webhook-sender.js';
import { WebhooksDispatcher } from './webhooks.dispatcher.js';
import { WebhooksSweeper } from './webhooks.sweeper.js';

/** Webhooks: endpoints, deliveries and the dispatcher that sends them. */
@Module({
  controllers: [WebhookSecretController, WebhookEndpointsController, WebhookDeliveriesController],
  providers: [
    DeliveriesStore,
    DeliveryClaimsStore,
    DeliveryQueuesStore,
    DeliveryOutcomesStore,
    ManualRetriesStore,
    RetryAllowance,
    WebhookEndpointsStore,
    WebhookSecretsStore,
    WebhookEndpointsService,
    WebhookDeliveriesService,
    WebhookSecretService,
    SigningSecrets,
    EndpointHeaders,
    DueSearch,
    EndpointShutdown,
    WebhookSender,
    WebhooksDispatcher,
    WebhooksSweeper,
    { provide: OutboundClient, useFactory: outboundClient, inject: [CONFIG] },
  ],
  exports: [DeliveriesStore],
})
export class WebhooksModule {}

function outboundClient(config: Config): OutboundClient {
  return new OutboundClient({
    policy: operatorPolicy(config),
    timeoutMs: config.callbackTimeoutMs,
    connectionsPerOrigin: CONNECTIONS_AN_ORIGIN,
    userAgent: 'tensorpix-gateway',
  });
}
