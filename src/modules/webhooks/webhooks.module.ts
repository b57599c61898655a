import { Module } from '@nestjs/common';
import { CONFIG, type Config } from '../../common/config/config.js';
import { OutboundClient } from '../../common/outbound/outbound-client.js';
import { DeliveriesStore } from './deliveries.store.js';
import { DeliveryWakeUp } from './delivery-wake-up.js';
import { SigningSecrets } from './signing-secrets.js';
import { WebhookSecretController } from './webhook-secret.controller.js';
import { WebhookSecretsStore } from './webhook-secrets.store.js';
import { WebhooksDispatcher } from './webhooks.dispatcher.js';

/** Attempts to one receiver at once; more wait in line on their own wall clock. */
const CONNECTIONS_PER_ORIGIN = 32;

@Module({
  controllers: [WebhookSecretController],
  providers: [
    DeliveriesStore,
    DeliveryWakeUp,
    WebhookSecretsStore,
    SigningSecrets,
    WebhooksDispatcher,
    { provide: OutboundClient, useFactory: outboundClient, inject: [CONFIG] },
  ],
  exports: [DeliveryWakeUp, WebhooksDispatcher],
})
export class WebhooksModule {}

function outboundClient(config: Config): OutboundClient {
  const { callbackAllowHttp: allowHttp, callbackAllowedCidrs: allowedCidrs, callbackTimeoutMs: timeoutMs } = config;
  return new OutboundClient({
    policy: { allowHttp, allowedCidrs },
    timeoutMs,
    connectionsPerOrigin: CONNECTIONS_PER_ORIGIN,
    userAgent: 'tensorpix-gateway',
  });
}
